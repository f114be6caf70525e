"""The form of a stored email, with an input for each variable's sample value, and the lines of code that use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.conf import settings
from django.utils.html import format_html, format_html_join

from django_migma.doctor.references import find_references
from django_migma.models import StoredEmail
from django_migma.variables import value_to_text, without_empty

from .sample_values import (
    INPUT,
    LONG,
    posted_texts,
    read_values,
    shown_values,
    value_widget,
    without_sample,
)

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[StoredEmail]
else:
    ModelForm = forms.ModelForm

IDS = ("email_id", "conversation_id")
SAMPLES = "sample_variables"


class SampleInputs(forms.Textarea):
    """An input named ``value.NAME`` for each variable of an email, and for each further sample it has.

    It falls back to a box for JSON, under the name of the field, where no variable is known, or what was sent is no
    JSON object.
    """

    def __init__(self, email: StoredEmail) -> None:
        super().__init__(attrs={"rows": 5, "cols": 60})
        self._email = email
        stored = email.sample_variables
        self._stored: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
        self._names = list(dict.fromkeys([*email.variable_names, *self._stored]))

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in data and not posted_texts(data)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        if name in data:
            return data[name]
        return json.dumps(without_empty(read_values(posted_texts(data), self._stored)))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        try:
            values = json.loads(value)
        except (TypeError, ValueError):
            values = None
        if not self._names or not isinstance(values, dict):
            return super().render(name, value, attrs, renderer)
        shown = shown_values(self._email, dict.fromkeys(self._names, ""))
        inputs = [(each, value_to_text(values.get(each, "")), shown.get(each, "")) for each in self._names]
        return format_html_join("\n", "{}", ((_input(*each),) for each in inputs))


def _input(name: str, text: str, fallback: str) -> str:
    """The input of one variable. While it is empty, it shows what the preview shows then."""
    field_id = f"id_{INPUT}{name}"
    field = value_widget(name, text).render(INPUT + name, text, {"id": field_id, "placeholder": fallback})
    return format_html('<div class="migma-value"><label for="{}">{}</label>{}</div>', field_id, name, field)


class StoredEmailForm(ModelForm):
    """The fields of a stored email that do not come from Migma."""

    class Meta:
        model = StoredEmail
        fields = (
            "key", *IDS, SAMPLES, "default_variables", "optional_variables", "from_email", "from_name",
            "provider_type",
        )  # fmt: skip
        widgets: ClassVar = {
            "optional_variables": forms.Textarea(attrs={"rows": 2, "cols": 60}),
            "default_variables": forms.Textarea(attrs={"rows": 3, "cols": 60}),
            SAMPLES: forms.Textarea(attrs={"rows": 3, "cols": 60}),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in self.fields.keys() & IDS:  # a browser would cut a pasted id that has a space in front
            self.fields[name].widget.attrs.pop("maxlength", None)
        if SAMPLES in self.fields:
            self.fields[SAMPLES].widget = SampleInputs(self.instance)


def lines_of_code(email: StoredEmail) -> str:
    """Return Python that sends the email, with its key or id and its variables, for people to copy."""
    shown, missing = shown_values(email), without_sample(email)
    names = [name for name in email.variable_names if name not in email.optional_variables]
    left_out = {name for name in names if name in missing or len(shown[name]) > LONG}
    values = {name: "…" if name in left_out else shown[name] for name in names}
    lines = ["MigmaMessage(", '    to=["ada@example.com"],']
    if not email.key and email.subject:  # a raw id brings no subject
        lines.append(f"    subject={_python(email.subject)},")
    if email.key or email.email_id:
        lines.append(f"    template_id={_python(email.key or email.email_id)},")
    else:
        lines.append(f"    conversation_id={_python(email.conversation_id)},")
    if values:
        pairs = "".join(f"        {_python(name)}: {_python(text)},\n" for name, text in values.items())
        lines.append(f"    merge_global_data={{\n{pairs}    }},")
    return "\n".join(["from django_migma.message import MigmaMessage", "", *lines, ").send()"])


def _python(text: str | None) -> str:
    """A string of Python, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def places_in_code(email: StoredEmail) -> list[str]:
    """Return where the project's code names the email, such as ``shop/mail.py:12``, while developers work on it.

    A live site may not have its source at hand, and reads it for no one.
    """
    if not settings.DEBUG:
        return []
    found = find_references()
    return [place for name in (email.key, email.email_id) if name for place in found.get(name, [])]
