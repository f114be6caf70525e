"""What Fernhill sells, and who ordered what."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

MOST_BAGS = 12


class Coffee(models.Model):
    """A coffee on sale, in bags of 250 g."""

    name = models.CharField(max_length=80, unique=True)
    notes = models.CharField("tasting notes", max_length=120)
    price = models.DecimalField(max_digits=6, decimal_places=2)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """An order that was placed. It is paid on delivery."""

    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # in addresses: nobody can guess it
    first_name = models.CharField(max_length=80)
    email = models.EmailField()
    placed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-placed_at",)

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        """The customer's page of this order."""
        return reverse("shop:order_placed", kwargs={"token": self.token})

    @property
    def number(self) -> str:
        """The order's number as customers see it."""
        return f"FH-{self.pk:05}"

    @property
    def total(self) -> Decimal:
        """The price of all lines."""
        return sum((line.price for line in self.lines.all()), Decimal(0))


class Line(models.Model):
    """Some bags of one coffee in an order, at the price of that day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    coffee = models.ForeignKey(Coffee, on_delete=models.PROTECT)
    bags = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MOST_BAGS)])
    unit_price = models.DecimalField(max_digits=6, decimal_places=2)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.bags} of {self.coffee}"

    @property
    def price(self) -> Decimal:
        """The price of all bags."""
        return self.bags * self.unit_price
