"""``manage.py name_stored_emails``: what a person does in the admin, done for the sandbox's account."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.sandbox import STORED_EMAILS
from django_migma.models import StoredEmail

SAMPLES = {
    "first_name": "Robin",
    "order_number": "FH-00042",
    "order_date": "7 May 2026",
    "items_html": '<tr><td>Kenya</td><td align="center">2</td><td align="right">€ 28.00</td></tr>',
    "total": "€ 28.00",
    "order_url": "http://127.0.0.1:8000/",
}
"""Of a receipt, for previews and tests only: what a customer gets comes from ``shop/mail.py``."""
FIELDS = {
    "receipt": {"sample_variables": SAMPLES},
    # Read by customers: the letter has one request for all of them. Migma knows their first names.
    "letter": {
        "default_variables": {"shop_url": "http://127.0.0.1:8000/order/"},
        "optional_variables": ["first_name"],
    },
}


class Command(BaseCommand):
    """With an account of your own, you give the keys in the admin: which email is the welcome is your choice."""

    help = "Gives the sandbox's stored emails the keys that the shop calls them by, and their variables."

    def handle(self, **options: Any) -> None:
        """Name them. Raises CommandError where they have not been fetched yet."""
        for key, email_id in STORED_EMAILS.items():
            values = {"key": key, "sample_variables": {}, **FIELDS.get(key, {})}
            if not StoredEmail.objects.filter(email_id=email_id).update(**values):
                raise CommandError(f"The stored email {email_id} is not here yet. Run manage.py migma_sync first.")
        self.stdout.write(f"Stored emails with a key: {', '.join(sorted(STORED_EMAILS))}.")
