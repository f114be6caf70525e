"""The three coffees that Fernhill starts with."""

from django.db import migrations

COFFEES = (
    ("Morning Fog", "Light: lemon, jasmine, honey", "9.50"),
    ("Mill Lane", "Medium: caramel, hazelnut, ripe fruit", "8.50"),
    ("Night Train", "Dark: cocoa, toast, brown sugar", "8.00"),
)


def add_coffees(apps, schema_editor):
    """Put them on sale."""
    coffee = apps.get_model("shop", "Coffee")
    coffee.objects.bulk_create(coffee(name=name, notes=notes, price=price) for name, notes, price in COFFEES)


class Migration(migrations.Migration):
    """Data only; taking it back leaves the coffees to the removal of their table."""

    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(add_coffees, migrations.RunPython.noop)]
