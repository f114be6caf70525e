"""``manage.py name_stored_emails``: what a person does in the admin, done for the sandbox's account."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.sandbox import STORED_EMAILS
from django_migma.models import StoredEmail


class Command(BaseCommand):
    """With an account of your own, you give the keys in the admin: which email is the welcome is your choice."""

    help = "Gives the sandbox's stored emails the keys that shop/mail.py calls them by."

    def handle(self, **options: Any) -> None:
        """Name them. Raises CommandError where they have not been fetched yet."""
        for key, email_id in STORED_EMAILS.items():
            if not StoredEmail.objects.filter(email_id=email_id).update(key=key):
                raise CommandError(f"The stored email {email_id} is not here yet. Run manage.py migma_sync first.")
        self.stdout.write(f"Stored emails with a key: {', '.join(sorted(STORED_EMAILS))}.")
