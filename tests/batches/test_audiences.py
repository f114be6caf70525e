"""Segments and tags by their names: the right one, or an error that helps."""

from __future__ import annotations

import pytest
from responses import matchers

from django_migma.api import Forbidden, UnusableAudience
from django_migma.batches import Audience, find_audience
from django_migma.exceptions import ConfigurationError
from tests.api.examples import URL, client, refusal

ID = "665f1c2ab7d3e4f5a6d70001"


def tags(wire, *items, **answer):
    wire.get(f"{URL}/tags", json={"success": True, "data": list(items), "count": len(items), **answer})


def tag(name, count=7, tag_id=ID):
    return {"id": tag_id, "name": name, "subscriberCount": count}


def find(**wanted):
    return find_audience(client(), "p1", **{"segment": None, "tag": None, **wanted})


@pytest.mark.parametrize("given", ["Newsletter", "newsletter", ID, ID.upper()])
def test_a_tag_goes_by_name_in_any_case_and_by_id(wire, given):
    tags(wire, tag("Newsletter"), tag("Other", tag_id="t2"))
    assert find(tag=given) == Audience(kind="tag", id=ID, name="Newsletter", count=7)


def test_the_exact_name_wins(wire):
    tags(wire, tag("vip"), tag("VIP", tag_id="t2"))
    assert find(tag="VIP").id == "t2"


def test_a_segment_goes_by_name(wire):
    data = [{"id": "s1", "name": "VIP", "count": 3}]
    wire.get(f"{URL}/segments", json={"success": True, "data": data, "count": 1})
    found = find(segment="VIP")
    assert (str(found), found.kind, found.count) == ("segment 'VIP'", "segment", 3)


def test_all_pages_of_tags_are_searched(wire):
    for page, item in ((1, tag("a")), (2, tag("b", tag_id="t2"))):
        wire.get(
            f"{URL}/tags",
            json={"success": True, "data": [item], "count": 101},
            match=[matchers.query_param_matcher({"projectId": "p1", "limit": "100", "page": str(page)})],
        )
    assert find(tag="b").id == "t2"


@pytest.mark.parametrize(
    ("items", "given", "text"),
    [
        ([tag("newsletter")], "newslettr", "The project has no tag 'newslettr'. Did you mean 'newsletter'?"),
        ([tag("a"), tag("b")], "newsletter", "The project has no tag 'newsletter'. Known are 'a', 'b'."),
        ([], "newsletter", "The project has no tag 'newsletter'. There is none."),
        ([tag("newsletter")], "665f1c2ab7d3e4f5a6d70009", "The project has no tag '665f1c2ab7d3e4f5a6d70009'."),
        ([tag("vip", 0)], "vip", "The tag 'vip' is empty. Nobody would get the mail. Add contacts at Migma."),
        (
            [tag("vip", 1), tag("vip", None, "t2")],
            "vip",
            f"2 tags have the name 'vip'. Give one of the ids: {ID} (1 people), t2 (unknown size).",
        ),
    ],
)
def test_what_cannot_get_a_batch_is_refused(wire, items, given, text):
    tags(wire, *items)
    with pytest.raises(UnusableAudience) as caught:
        find(tag=given)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("wanted", [{}, {"segment": "a", "tag": "b"}, {"segment": "", "tag": ""}])
def test_either_a_segment_or_a_tag(wire, wanted):
    with pytest.raises(ValueError, match=r"^Give a segment or a tag: one of them\.$"):
        find(**wanted)
    assert not wire.calls


def test_a_name_needs_a_project(wire):
    with pytest.raises(ConfigurationError, match=r"'news' is a name, and names need a project\. Set PROJECT_ID"):
        find_audience(client(), "", segment=None, tag="news")
    assert not wire.calls


def test_an_id_needs_no_project(wire):
    found = find_audience(client(), "", segment=ID, tag=None)
    assert (found, str(found)) == (Audience(kind="segment", id=ID), f"segment {ID}")
    assert not wire.calls


def test_an_id_works_with_a_key_that_may_not_list(wire):
    wire.get(f"{URL}/tags", status=403, json=refusal("no"))
    assert find(tag=ID) == Audience(kind="tag", id=ID)
    with pytest.raises(Forbidden):
        find(tag="news")


def test_a_list_without_an_end_is_left(wire):
    """After a hundred pages."""
    tags(wire, tag("a"), count=10**9)
    with pytest.raises(UnusableAudience, match="no tag 'b'"):
        find(tag="b")
    assert len(wire.calls) == 100
