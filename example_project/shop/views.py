"""The shop's pages.

Mail goes out after commit: what is rolled back is not mailed about. ``robust`` keeps a failure to send (it is logged)
from turning an order that is saved into an error page. It wants a function or a lambda: Django before 6.1 raises when
a `functools.partial` fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth import login
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from . import mail
from .forms import OrderForm, SignUpForm
from .models import Coffee, Order

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def home(request: HttpRequest) -> HttpResponse:
    """What there is to buy."""
    return render(request, "shop/home.html", {"coffees": Coffee.objects.all()})


def sign_up(request: HttpRequest) -> HttpResponse:
    """Make an account, and welcome its owner."""
    form = SignUpForm(request.POST or None)
    if not form.is_valid():
        return render(request, "shop/sign_up.html", {"form": form})
    shop_url = request.build_absolute_uri(reverse("shop:order"))
    with transaction.atomic():
        user = form.save()
        transaction.on_commit(lambda: mail.send_welcome(user, shop_url), robust=True)
    login(request, user)
    sent = "".join(f" Your welcome email is {each.words}." for each in mail.mail_of_user(user))
    messages.success(request, f"Welcome, {user.first_name}. Your account is ready.{sent}")
    return redirect("shop:home")


def order(request: HttpRequest) -> HttpResponse:
    """Take an order, and mail its receipt."""
    form = OrderForm(request.POST or None)
    if not form.is_valid():
        return render(request, "shop/order.html", {"form": form})
    with transaction.atomic():
        placed = form.save()
        order_url = request.build_absolute_uri(placed.get_absolute_url())
        transaction.on_commit(lambda: mail.send_receipt(placed, order_url), robust=True)
    return redirect(placed)


def order_placed(request: HttpRequest, token: str) -> HttpResponse:
    """The customer's page of an order, with what became of the mail about it."""
    found = get_object_or_404(Order.objects.prefetch_related("lines__coffee"), token=token)
    return render(request, "shop/order_placed.html", {"order": found, "mails": mail.mail_of_order(found)})
