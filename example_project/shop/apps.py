"""The shop."""

from django.apps import AppConfig

from django_migma.signals import pre_send


class ShopConfig(AppConfig):
    """Coffees, orders and the mail about them."""

    name = "shop"

    def ready(self) -> None:
        """Let the shop design mail that Django sends."""
        from .mail import design_password_reset  # noqa: PLC0415 - not earlier: mail may need models

        pre_send.connect(design_password_reset)
