"""Values as plain JSON, the path of what JSON cannot express, and placeholders in texts."""

from __future__ import annotations

import datetime as dt
import json
import time
import tracemalloc
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import IntegerChoices, TextChoices
from django.utils.functional import lazystr
from django.utils.safestring import SafeString, mark_safe
from hypothesis import given
from hypothesis import strategies as st

from django_migma.exceptions import SerializationError
from django_migma.variables import placeholder_names, render_placeholders, to_json_value, value_to_text

HELP = ". Pass text, numbers, dates, lists or dicts."
ZONE = dt.timezone(dt.timedelta(hours=2))
Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped one is what is passed here


class Color(str, Enum):  # noqa: UP042 - the old way to write it, whose str() is not its value
    RED = "red"


class Size(TextChoices):
    BIG = "b", "Big"


class Level(IntegerChoices):
    HIGH = 3, "High"


class Number(IntEnum):
    TWO = 2


class Half(float):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (False, False),
        ("text", "text"),
        ("Grüße 😀", "Grüße 😀"),
        (0, 0),
        (-(2**70), -(2**70)),
        (1.5, 1.5),
        (Half(0.5), 0.5),
        (Number.TWO, 2),
        (Level.HIGH, 3),
        (Size.BIG, "b"),
        (Color.RED, "red"),
        (mark_safe("<b>"), "<b>"),
        (lazystr("lazy"), "lazy"),
        (dt.date(2026, 5, 1), "2026-05-01"),
        (dt.datetime(2026, 5, 1, 8, 30), "2026-05-01T08:30:00"),
        (dt.datetime(2026, 5, 1, 8, 30, 0, 123456, dt.UTC), "2026-05-01T08:30:00.123Z"),
        (dt.datetime(2026, 5, 1, 8, 30, tzinfo=ZONE), "2026-05-01T08:30:00+02:00"),
        (dt.time(8, 30), "08:30:00"),
        (dt.timedelta(days=1, hours=2), "P1DT02H00M00S"),
        (Decimal("9.90"), "9.90"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ([], []),
        ((1, "a"), [1, "a"]),
        (Point(1, 2), [1, 2]),
        ({}, {}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({mark_safe("a"): 1, Color.RED: 2}, {"a": 1, "red": 2}),
        ({"a": [{"b": (Decimal(1), None)}]}, {"a": [{"b": ["1", None]}]}),
    ],
)
def test_a_value_becomes_plain_json_as_djangos_encoder_makes_it(value, expected):
    found = to_json_value(value, "v")
    assert found == expected
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(dict_of(value), cls=DjangoJSONEncoder))


def dict_of(value):
    """Django's encoder knows no mapping but a dict."""
    return dict(value) if isinstance(value, MappingProxyType) else value


@pytest.mark.parametrize("value", [mark_safe("<b>"), Color.RED, Size.BIG, Number.TWO, Half(1), lazystr("a")])
def test_only_json_types_come_out(value):
    """Also inside, so that storing or pickling it needs no class of the site."""
    assert type(to_json_value(value, "v")) in {str, int, float}
    assert {type(item) for item in to_json_value([value], "v")} <= {str, int, float}
    assert {type(name) for name in to_json_value({SafeString("a"): value}, "v")} == {str}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "merge_data: nan is no JSON number"),
        pytest.param(-(10**5000), "merge_data: it has more than 4,300 digits", id="5,001 digits"),
        (float("inf"), "merge_data: inf is no JSON number"),
        (float("-inf"), "merge_data: -inf is no JSON number"),
        ({"total": float("nan")}, "merge_data['total']: nan is no JSON number"),
        ({"a": [1, {"b c": {1}}]}, "merge_data['a'][1]['b c']: JSON has no type for set"),
        (frozenset(), "merge_data: JSON has no type for frozenset"),
        (b"bytes", "merge_data: JSON has no type for bytes"),
        ([object()], "merge_data[0]: JSON has no type for object"),
        ((item for item in ()), "merge_data: JSON has no type for generator"),
        ({"s": "\ud800"}, "merge_data['s']: it holds a lone surrogate, which is no text that UTF-8 can carry"),
        ({"\ud800": 1}, "merge_data: it holds a lone surrogate, which is no text that UTF-8 can carry"),
        ({"a": {(1, 2): "x"}}, "merge_data['a']: the key (1, 2) is neither text nor number"),
        ({float("inf"): "x"}, "merge_data: the key inf is neither text nor number"),
        (
            {"at": dt.time(8, 30, tzinfo=ZONE)},
            "merge_data['at']: JSON can't represent timezone-aware times",
        ),
    ],
)
def test_what_json_cannot_express_is_named_by_its_path(value, problem):
    path, _, reason = problem.partition(": ")
    with pytest.raises(SerializationError) as caught:
        to_json_value(value, "merge_data")
    assert str(caught.value) == f"{path} cannot be sent: {reason}{HELP}"


def nested(levels):
    value = "end"
    for _ in range(levels):
        value = [value]
    return value


def test_a_hundred_levels_are_enough():
    assert to_json_value(nested(100), "v") == nested(100)


def looped_list():
    value = []
    value.append({"again": value})
    return value


def looped_dict():
    value = {}
    value["again"] = [value]
    return value


@pytest.mark.parametrize("value", [nested(101), nested(100_000), looped_list(), looped_dict()])
def test_more_levels_or_a_structure_that_contains_itself_are_refused(value):
    """The path would be as long as the structure is deep, so the text names its start."""
    with pytest.raises(SerializationError) as caught:
        to_json_value(value, "merge_data")
    assert str(caught.value) == (f"merge_data cannot be sent: it has more than 100 levels, or contains itself{HELP}")


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "L"]))
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(ZONE))
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.binary()
    | st.sets(st.integers())
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_comes_out_is_json(value):
    """Either a SerializationError that names the path, or something that json writes and UTF-8 carries."""
    try:
        found = to_json_value(value, "v")
    except SerializationError as error:
        path, said, _ = str(error).partition(" cannot be sent: ")
        assert (path[0], bool(said)) == ("v", True)
    else:
        written = json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
        assert json.loads(written) == found


@pytest.mark.parametrize(
    "text",
    [
        "%7B%7B" + "+" * 1_000_000,
        "%7B%7B" + "%20" * 330_000,
        "%7B%7Bname" + "+%20 " * 200_000,
        "{{" + " " * 1_000_000,
        "{{" + "a" * 1_000_000,
        "{" * 1_000_000,
        "{{ " * 330_000,
        "{{a}}" * 200_000,
        "%7B%7Ba%7D%7D" * 77_000,
    ],
    ids=lambda text: text[:12],
)
def test_names_are_found_in_linear_time_and_little_memory(text):
    """1 MB of each hostile shape: a pattern that keeps a state per repetition took 100 times the text."""
    tracemalloc.start()
    try:
        began = time.thread_time()
        names = placeholder_names(text)
        seconds = time.thread_time() - began
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert names in ([], ["a"])
    assert peak < 1_000_000
    assert seconds < 20


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{b}} {{ a }} {{\tuser.first-name\n}} {{b}}", ["a", "b", "user.first-name"]),
        ("%7B%7Ba%7D%7D %7b%7B%20+b %20%7D%7d %7B%7B20%20%7D%7D", ["20", "a", "b"]),
        ("{{}} {{ a b }} { {a}} {{a} } %7B%7B%7D%7D %7B%7Ba%20b%7D%7D {{a%7D%7D", []),
    ],
)
def test_names_are_found_as_they_are_and_percent_encoded(text, names):
    assert placeholder_names(text) == names


@pytest.mark.parametrize(
    ("value", "text"),
    [("ä", "ä"), (None, ""), (1, "1"), (1.5, "1.5"), (False, "false"), ({"a": ["ä", None]}, '{"a": ["ä", null]}')],
)
def test_a_value_as_readers_see_it(value, text):
    assert value_to_text(value) == text


def test_placeholders_are_replaced_where_there_is_a_value():
    assert render_placeholders("{{ a }}, %7B%7Ba%7D%7D and {{b}}", {"a": "A"}) == "A, A and {{b}}"
