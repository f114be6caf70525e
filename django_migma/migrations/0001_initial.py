"""The table of stored emails."""

from django.db import migrations, models

import django_migma.models.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="StoredEmail",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "key",
                    django_migma.models.fields.NullCharField(
                        blank=True,
                        default=None,
                        help_text="The name that code uses for this email, such as welcome: letters, digits, - and _.",
                        max_length=100,
                        null=True,
                        unique=True,
                        validators=[django_migma.models.fields.validate_key],
                        verbose_name="key",
                    ),
                ),
                (
                    "email_id",
                    django_migma.models.fields.ObjectIdField(
                        blank=True,
                        default=None,
                        help_text="Migma's id of the email: 24 hex digits.",
                        max_length=24,
                        null=True,
                        unique=True,
                        verbose_name="email id",
                    ),
                ),
                (
                    "conversation_id",
                    django_migma.models.fields.ObjectIdField(
                        blank=True,
                        default=None,
                        help_text="Migma's id of the conversation that the email was made in; enough if it holds one email only.",
                        max_length=24,
                        null=True,
                        verbose_name="conversation id",
                    ),
                ),
                ("project_id", models.CharField(blank=True, max_length=100, verbose_name="project id")),
                ("title", models.TextField(blank=True, verbose_name="title")),
                (
                    "subject",
                    models.TextField(
                        blank=True, validators=[django_migma.models.fields.validate_header], verbose_name="subject"
                    ),
                ),
                ("preheader", models.TextField(blank=True, verbose_name="preheader")),
                ("html", models.TextField(blank=True, verbose_name="HTML")),
                ("variable_names", models.JSONField(default=list, editable=False, verbose_name="variables")),
                (
                    "body_variable_names",
                    models.JSONField(default=list, editable=False, verbose_name="variables of preheader and HTML"),
                ),
                (
                    "optional_variables",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text='Names that Migma fills from the contact, so that messages need not pass them: ["first_name"].',
                        validators=[django_migma.models.fields.validate_names],
                        verbose_name="optional variables",
                    ),
                ),
                (
                    "default_variables",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Values that messages need not pass, such as {"first_name": "there"}. The preview shows them too.',
                        validators=[django_migma.models.fields.validate_variables],
                        verbose_name="default variables",
                    ),
                ),
                ("thumbnail_url", models.URLField(blank=True, max_length=2000, verbose_name="thumbnail")),
                (
                    "status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("ready", "ready"),
                            ("processing", "in the making"),
                            ("failed", "failed"),
                            ("gone", "no longer at Migma"),
                        ],
                        max_length=50,
                        verbose_name="status",
                    ),
                ),
                (
                    "from_email",
                    models.CharField(
                        blank=True,
                        help_text="Replaces the site's sender, unless a message names one.",
                        max_length=320,
                        validators=[django_migma.models.fields.validate_address],
                        verbose_name="sender's address",
                    ),
                ),
                (
                    "from_name",
                    models.CharField(
                        blank=True,
                        max_length=255,
                        validators=[django_migma.models.fields.validate_header],
                        verbose_name="sender's name",
                    ),
                ),
                (
                    "provider_type",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("ses", "ses"),
                            ("resend", "resend"),
                            ("sendgrid", "sendgrid"),
                            ("mailgun", "mailgun"),
                            ("migma", "migma"),
                        ],
                        max_length=20,
                        verbose_name="provider",
                    ),
                ),
                ("synced_at", models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last sync")),
                (
                    "last_tested_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last test"),
                ),
                ("test_claim", models.PositiveIntegerField(default=0, editable=False, verbose_name="tests begun")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated")),
            ],
            options={
                "verbose_name": "stored email",
                "verbose_name_plural": "stored emails",
                "ordering": ["title", "pk"],
                "permissions": [("send_test_storedemail", "Can send a test of a stored email")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("email_id__isnull", False), ("conversation_id__isnull", False), _connector="OR"
                        ),
                        name="django_migma_email_or_conversation",
                        violation_error_message="Give the id of the email, or that of its conversation.",
                    )
                ],
            },
        ),
    ]
