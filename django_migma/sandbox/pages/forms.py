"""What the forms of the pages send. A deed that is done leads to a page; one that cannot be done changes nothing.

The form then comes back as it was typed, with the error beside the field. Whether a page of this sandbox sent it has
been checked before: see ``host_and_origin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from django_migma.sandbox.pages.responses import see_other
from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.http import HttpResponse

    from django_migma.sandbox.server import Request, Sandbox

    Form = Mapping[str, str]
    Deed = Callable[[Sandbox, Form], str]  # returns the address of the page to look at then

_MAX_FIELDS = 200
MEDIA_TYPE = "application/x-www-form-urlencoded"


class FieldError(ValueError):
    """Something that was typed cannot be taken."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of a repeated one the last. Raises 400 for anything that no form of ours sends."""
    if request.content_type != MEDIA_TYPE:
        raise ApiError(400, f"A form is sent as {MEDIA_TYPE}; programs have /_sandbox/faults and its neighbours")
    body = request.body.decode(errors="replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise ApiError(400, f"A form of this sandbox has at most {_MAX_FIELDS} fields") from None


def do(request: Request, deeds: Mapping[str, Deed], show_again: Callable[..., HttpResponse]) -> HttpResponse:
    """Do what the form's ``deed`` names. ``show_again`` renders the page of a form that was not understood."""
    form = read_form(request)
    deed = deeds.get(form.get("deed", ""))
    if deed is None:
        raise ApiError(400, f"deed must be one of {', '.join(deeds)}")
    try:
        address = deed(request.sandbox, form)
    except FieldError as error:
        return show_again(request, status=400, typed=form, errors={error.field: str(error)})
    return see_other(address)
