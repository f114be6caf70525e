"""The admin's forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import Truncator
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_migma.api.errors import InvalidAddress
from django_migma.models import StoredEmail
from django_migma.testsends import MOST_CALLS, addresses_in, parts_in

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[StoredEmail]
else:
    ModelForm = forms.ModelForm

IDS = ("email_id", "conversation_id")
_LONGEST_SHOWN = 80


class _Decoder(json.JSONDecoder):
    """Python's own, which has other errors for digits beyond its limit and for thousands of brackets."""

    def decode(self, *args: Any, **options: Any) -> Any:
        try:
            return super().decode(*args, **options)
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError("too long or too deep", "", 0) from error


class _Encoder(json.JSONEncoder):
    """Python's own, with half a character written as JSON would: a page could not carry it as it is."""

    def encode(self, o: Any) -> str:
        return super().encode(o).encode("utf-8", "backslashreplace").decode()


class StoredEmailForm(ModelForm):
    """A stored email's own fields."""

    class Meta:
        """What does not come from Migma."""

        model = StoredEmail
        fields = (
            "key",
            *IDS,
            "optional_variables",
            "default_variables",
            "from_email",
            "from_name",
            "provider_type",
        )
        help_texts: ClassVar = {
            "optional_variables": _(
                'Names that Migma fills from the contact, so that no message has to bring them: ["first_name"].'
            ),
            "default_variables": _(
                'Values where a message brings none, such as {"first_name": "there"}. The preview shows them too.'
            ),
        }
        widgets: ClassVar = {
            "optional_variables": forms.Textarea(attrs={"rows": 3, "cols": 60}),
            "default_variables": forms.Textarea(attrs={"rows": 5, "cols": 60}),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in self.fields.keys() & IDS:  # else the browser cuts a pasted id that has a space in front
            self.fields[name].widget.attrs.pop("maxlength", None)
        for field in self.fields.values():
            if isinstance(field, forms.JSONField):
                field.decoder, field.encoder = _Decoder, _Encoder

    def clean_optional_variables(self) -> Any:
        """An empty box is an empty list."""
        return self.cleaned_data["optional_variables"] or []

    def clean_default_variables(self) -> Any:
        """An empty box says that there are none."""
        return self.cleaned_data["default_variables"] or {}


class SendTestForm(forms.Form):
    """Whom a test of ``emails`` stored emails goes to. ``cleaned_data["addresses"]`` is a list."""

    addresses = forms.CharField(
        label=_("To"),
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autocomplete": "email", "spellcheck": "false"}),
        help_text=_("One address, or several: one a line, or with commas between them."),
    )

    def __init__(self, *args: Any, emails: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.emails = emails

    def clean_addresses(self) -> list[str]:
        """The addresses, no more of them than there may be calls."""
        typed = self.cleaned_data["addresses"]
        try:
            addresses = addresses_in(typed)
        except InvalidAddress as error:
            raise ValidationError([f"{_faulty(typed)} {error}".strip()], code="address") from error
        if not addresses:
            raise ValidationError(_("Give at least one address."), code="required")
        if (calls := len(addresses) * self.emails) > MOST_CALLS:
            raise ValidationError(too_many(calls), code="too_many")
        return addresses


def _faulty(typed: str) -> str:
    """The first that is no address, in quotes; empty where there are too many and none is at fault."""
    for part in parts_in(typed):
        try:
            addresses_in(part)
        except InvalidAddress:
            return f"“{Truncator(part).chars(_LONGEST_SHOWN)}”:"
    return ""


def too_many(calls: int) -> str:
    """Why so many calls are refused, and what to do."""
    text = ngettext(
        "This would be %(calls)d test, and at most %(most)d may be sent at a time.",
        "These would be %(calls)d tests, and at most %(most)d may be sent at a time.",
        calls,
    )
    return f"{text % {'calls': calls, 'most': MOST_CALLS}} {_now('Choose fewer emails or fewer addresses.')}"
