"""The table of deliveries."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import django_migma.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("django_migma", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "idempotency_key",
                    django_migma.models.fields.NullCharField(
                        blank=True,
                        default=None,
                        editable=False,
                        max_length=64,
                        null=True,
                        verbose_name="idempotency key",
                    ),
                ),
                ("alias", models.CharField(blank=True, max_length=64, verbose_name="mailer")),
                ("recipient", models.CharField(max_length=320, verbose_name="recipient")),
                ("subject", models.CharField(blank=True, max_length=255, verbose_name="subject")),
                ("from_email", models.CharField(blank=True, max_length=320, verbose_name="sender")),
                ("email_id", models.CharField(blank=True, max_length=24, verbose_name="email id")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("sending", "being sent"),
                            ("accepted", "accepted"),
                            ("delivered", "delivered"),
                            ("opened", "opened"),
                            ("clicked", "clicked"),
                            ("bounced", "bounced"),
                            ("complained", "complained of"),
                            ("suppressed", "suppressed"),
                            ("fallback", "sent by another mailer"),
                            ("failed", "failed"),
                            ("unknown", "unknown"),
                            ("cancelled", "given up"),
                            ("not_attempted", "not attempted"),
                        ],
                        default="waiting",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("priority", models.PositiveSmallIntegerField(default=0, verbose_name="priority")),
                ("due_at", models.DateTimeField(blank=True, null=True, verbose_name="next attempt")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("first_attempt_at", models.DateTimeField(blank=True, null=True, verbose_name="first attempt")),
                ("in_doubt", models.BooleanField(default=False, verbose_name="may have been accepted")),
                ("account", models.CharField(blank=True, editable=False, max_length=12)),
                ("claimed_by", models.CharField(blank=True, editable=False, max_length=32, verbose_name="worker")),
                ("provider", models.CharField(blank=True, max_length=16, verbose_name="provider")),
                ("message_id", models.CharField(blank=True, max_length=64, verbose_name="Migma's message id")),
                ("send_id", models.CharField(blank=True, max_length=64, verbose_name="Migma's send id")),
                ("replayed", models.BooleanField(default=False, verbose_name="found at Migma")),
                ("errors", models.JSONField(blank=True, default=list, verbose_name="errors")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="created")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="finished")),
                ("tracked_at", models.DateTimeField(blank=True, null=True, verbose_name="last tracked")),
                ("batch", models.CharField(blank=True, max_length=32, verbose_name="batch")),
                ("is_test", models.BooleanField(default=False, verbose_name="test")),
                ("caller_key", models.CharField(blank=True, max_length=255, verbose_name="key in the code")),
                ("payload_digest", models.CharField(blank=True, editable=False, max_length=64)),
                ("payload", models.TextField(blank=True, editable=False, verbose_name="request")),
                (
                    "resent_from",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="repeats",
                        to="django_migma.delivery",
                        verbose_name="repeats",
                    ),
                ),
                (
                    "stored_email",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="deliveries",
                        to="django_migma.storedemail",
                        verbose_name="stored email",
                    ),
                ),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "ordering": ["-pk"],
                "permissions": [
                    ("retry_delivery", "Can try a delivery again with the same key"),
                    ("resend_delivery", "Can send a delivery anew"),
                    ("cancel_delivery", "Can give a delivery up"),
                ],
                "indexes": [
                    models.Index(fields=["alias", "priority", "due_at"], name="django_migma_due"),
                    models.Index(fields=["status"], name="django_migma_status"),
                    models.Index(
                        fields=["recipient"], name="django_migma_recipient", opclasses=["varchar_pattern_ops"]
                    ),
                    models.Index(fields=["send_id"], name="django_migma_send_id"),
                    models.Index(
                        fields=["caller_key"], name="django_migma_caller_key", opclasses=["varchar_pattern_ops"]
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("idempotency_key",), name="django_migma_delivery_key"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("due_at__isnull", False), ("status__in", ["waiting", "sending"])),
                            models.Q(
                                models.Q(("status__in", ["waiting", "sending"]), _negated=True),
                                ("due_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="django_migma_due_until_final",
                    ),
                ],
            },
        ),
    ]
