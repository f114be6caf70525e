"""The shop."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Coffees, orders and the mail about them."""

    name = "shop"
