"""Values for previews and tests of stored emails, apart from those that customers get."""

from django.db import migrations, models

import django_migma.models.fields


class Migration(migrations.Migration):
    dependencies = [("django_migma", "0002_delivery")]

    operations = [
        migrations.AddField(
            model_name="storedemail",
            name="sample_variables",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='For previews and tests only; never sent to customers. Such as {"first_name": "Ada"}.',
                validators=[django_migma.models.fields.validate_variables],
                verbose_name="sample variables",
            ),
        ),
        migrations.AlterField(
            model_name="storedemail",
            name="default_variables",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='Values for mail that does not pass them, such as {"first_name": "there"}. Customers read these.',
                validators=[django_migma.models.fields.validate_variables],
                verbose_name="default variables",
            ),
        ),
    ]
