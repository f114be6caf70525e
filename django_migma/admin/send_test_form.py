"""The form of the page "Send a test": the kind of test, its addresses, and values for the variables of one email."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_migma.api.errors import InvalidAddress
from django_migma.models import StoredEmail
from django_migma.testsends.limit import Allowance
from django_migma.testsends.sending import MAX_TESTS, parse_addresses
from django_migma.variables import value_to_text, without_empty

from .sample_values import INPUT, LONG, known_values, posted_texts, read_values, value_widget

CUSTOMERS, STORED = "customers", "stored"
TOO_MANY = gettext_lazy("At most %(most)d tests may be sent at a time. Choose fewer emails or fewer addresses.")


class SendTestForm(forms.Form):
    """What to send of ``emails``. ``cleaned_data["addresses"]`` is a list.

    ``why_not_live`` is the reason for which only tests as stored at Migma can be sent, or empty. ``may_remember``
    says whether the person may change the email. With several emails there are no values: each has its samples.
    """

    kind = forms.ChoiceField(
        label=gettext_lazy("How"),
        choices=[
            (CUSTOMERS, gettext_lazy("As customers get it")),
            (STORED, gettext_lazy("As stored at Migma")),
        ],
    )
    addresses = forms.CharField(
        label=gettext_lazy("To"),
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60, "autocomplete": "email", "spellcheck": "false"}),
        help_text=gettext_lazy("One address or several, on lines of their own or separated by commas."),
    )
    mark = forms.BooleanField(label=gettext_lazy("“[Test]” before the subject"), required=False, initial=True)
    remember = forms.BooleanField(label=gettext_lazy("Remember as sample values"), required=False, initial=True)

    def __init__(
        self,
        *args: Any,
        emails: Sequence[StoredEmail],
        allowance: Allowance,
        why_not_live: str = "",
        may_remember: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.emails, self.allowance, self.why_not_live = emails, allowance, why_not_live
        self.initial.setdefault("kind", STORED if why_not_live else CUSTOMERS)
        self.email = emails[0] if len(emails) == 1 else None
        self.samples: Mapping[str, Any] = {}
        if self.email:
            self._add_values(self.email)
        if not (may_remember and self.email and self.email.variable_names):
            del self.fields["remember"]

    def _add_values(self, email: StoredEmail) -> None:
        defaults, self.samples = known_values(email)
        for name in email.variable_names:
            self.fields[INPUT + name] = value_field(name, self.samples.get(name), help_for(email, name, defaults))

    @property
    def inputs(self) -> list[forms.BoundField]:
        """The inputs for the variables."""
        return [self[name] for name in self.fields if name.startswith(INPUT)]

    def values(self, email: StoredEmail) -> dict[str, Any]:
        """What the variables of an email are filled with: what was typed for the one, the samples of each of several.

        What was left empty is left out. Where a sample is no text, the value may be none either.
        """
        samples = self.samples if self.email else known_values(email)[1]
        return without_empty({**samples, **self._typed})

    @property
    def _typed(self) -> dict[str, Any]:
        """What was typed, by variable."""
        return read_values(posted_texts(self.cleaned_data), self.samples)

    @property
    def new_samples(self) -> dict[str, Any]:
        """The values that differ from the samples, for `remember`: None where the input was emptied."""
        changed = {name: value for name, value in self._typed.items() if value != self.samples.get(name)}
        return {**dict.fromkeys(changed), **without_empty(changed)}

    def clean_kind(self) -> str:
        kind: str = self.cleaned_data["kind"]
        if kind == CUSTOMERS and self.why_not_live:
            raise ValidationError(self.why_not_live, code="not_live")
        return kind

    def clean_addresses(self) -> list[str]:
        try:
            addresses = parse_addresses(self.cleaned_data["addresses"], quote=True)
        except InvalidAddress as error:
            raise ValidationError(str(error), code="address") from error
        if not addresses:
            raise ValidationError(_("Give at least one address."), code="required")
        count = len(addresses) * len(self.emails)
        if count > MAX_TESTS:
            raise ValidationError(TOO_MANY, code="too_many", params={"most": MAX_TESTS})
        if count > self.allowance.left:
            raise ValidationError(self.allowance.refusal, code="limit")
        return addresses


def value_field(name: str, sample: Any, help_text: str) -> forms.CharField:
    """The field of a variable, with its sample."""
    text = value_to_text(sample)
    return forms.CharField(
        label=name,
        label_suffix="",
        initial=text,
        required=False,
        strip=False,
        widget=value_widget(name, text),
        help_text=help_text,
    )


def help_for(email: StoredEmail, name: str, defaults: Mapping[str, Any]) -> str:
    """What the reader sees where the input is left empty."""
    if name in defaults:
        text = value_to_text(defaults[name])
        shown = text if len(text) <= LONG else f"{text[:LONG]}…"
        return format_html(_("If empty, the reader sees the default: “{}”."), shown)
    if name in email.optional_variables:
        return _("If empty, Migma fills it from the contact.")
    return format_html(_("If empty, the reader may see {}."), f"{{{{{name}}}}}")
