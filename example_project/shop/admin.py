"""Orders and coffees in Django's admin."""

from django.contrib import admin

from .models import Coffee, Line, Order


class LineInline(admin.TabularInline):
    """The lines of an order, on its page."""

    model = Line
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, the newest first."""

    list_display = ("number", "first_name", "email", "placed_at", "total")
    search_fields = ("first_name", "email")
    date_hierarchy = "placed_at"
    inlines = (LineInline,)

    def get_queryset(self, request):
        """Orders with their lines, for the totals."""
        return super().get_queryset(request).prefetch_related("lines")


@admin.register(Coffee)
class CoffeeAdmin(admin.ModelAdmin):
    """What is on sale."""

    list_display = ("name", "notes", "price")
