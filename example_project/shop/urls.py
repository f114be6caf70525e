"""Addresses of the shop."""

from django.urls import path

from . import views

app_name = "shop"
urlpatterns = [
    path("", views.home, name="home"),
    path("sign-up/", views.sign_up, name="sign_up"),
    path("order/", views.order, name="order"),
    path("order/<uuid:token>/", views.order_placed, name="order_placed"),
]
