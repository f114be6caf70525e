"""The forms: signing up, and ordering."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.db import transaction

from .models import MOST_BAGS, Coffee, Line, Order


class SignUpForm(UserCreationForm):
    """Django's own form for new users, with a first name and an address to write to."""

    first_name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "given-name"}))
    email = forms.EmailField(widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    class Meta:
        model = User
        fields = ("username", "first_name", "email")


class OrderForm(forms.ModelForm):
    """Who orders, and how many bags of each coffee. At least one."""

    class Meta:
        model = Order
        fields = ("first_name", "email")
        widgets = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.coffees = {f"bags_{coffee.pk}": coffee for coffee in Coffee.objects.all()}
        for name, coffee in self.coffees.items():
            self.fields[name] = forms.IntegerField(
                label=coffee.name, min_value=0, max_value=MOST_BAGS, initial=0, required=False
            )

    def choices(self) -> list[tuple[Coffee, forms.BoundField]]:
        """Each coffee with the field for its number of bags."""
        return [(coffee, self[name]) for name, coffee in self.coffees.items()]

    def clean(self) -> dict[str, Any]:
        """Refuse an order of nothing."""
        cleaned = super().clean()
        if not self.errors and not any(cleaned[name] for name in self.coffees):
            raise forms.ValidationError("Choose at least one bag.")
        return cleaned

    @transaction.atomic
    def save(self, commit: bool = True) -> Order:
        """The order and its lines, or nothing."""
        order = super().save()
        Line.objects.bulk_create(
            Line(order=order, coffee=coffee, bags=bags, unit_price=coffee.price)
            for name, coffee in self.coffees.items()
            if (bags := self.cleaned_data[name])
        )
        return order
