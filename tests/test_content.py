"""The three routes: what the body of a message becomes on each."""

import time
import tracemalloc

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings

from django_migma.exceptions import SerializationError, UnsupportedFeature

LAYOUT = "665f1c2ab7d3e4f5a6b70004"
DOCUMENT = "<!doctype html><html><head><style>p{}</style></head><body class='a'>\n<p>Hi <b>Ada</b></p></body></html>"


def text_mail(body="text", **kwargs):
    return EmailMessage(**({"subject": "Hello", "body": body, "to": ["ada@example.org"]} | kwargs))


def html_mail(html, text="", **kwargs):
    message = EmailMultiAlternatives(**({"subject": "Hello", "body": text, "to": ["ada@example.org"]} | kwargs))
    message.attach_alternative(html, "text/html; charset=utf-8")
    return message


class TestLayout:
    @pytest.fixture(autouse=True)
    def layout(self, migma):
        migma(LAYOUT_EMAIL_ID=LAYOUT)

    def test_wins_over_the_raw_route(self, accepting):
        text_mail().send()
        assert accepting.body["emailId"] == LAYOUT
        assert not {"template", "projectId"} & accepting.body.keys()

    def test_takes_the_inner_body_of_a_document(self, accepting):
        html_mail(DOCUMENT, "Hi Ada, in text").send()
        assert accepting.body["variables"] == {
            "subject": "Hello",
            "body_html": "\n<p>Hi <b>Ada</b></p>",
            "body_text": "Hi Ada, in text",
        }

    def test_makes_text_from_html_where_there_is_none(self, accepting):
        html_mail(DOCUMENT).send()
        assert accepting.body["variables"]["body_text"] == "Hi Ada"

    def test_makes_html_from_text(self, accepting):
        text_mail("One & two\n\nThree").send()
        variables = accepting.body["variables"]
        assert variables["body_html"].split("\n") == ["", "<p>One &amp; two</p>", "", "<p>Three</p>", ""]
        assert variables["body_text"] == "One & two\n\nThree"

    def test_passes_the_messages_own_variables_along(self, accepting):
        message = text_mail()
        message.merge_global_data = {"shop": "Example"}
        message.send()
        assert accepting.body["variables"]["shop"] == "Example"
        assert accepting.body["variables"]["subject"] == "Hello"

    def test_own_variables_may_not_take_the_layouts_names(self, accepting):
        message = text_mail()
        message.merge_data = {"ada@example.org": {"body_html": "mine"}}
        with pytest.raises(ValueError, match=r"merge data sets \['body_html'\], which the layout uses"):
            message.send()

    def test_what_a_customer_typed_is_no_placeholder(self, accepting):
        text_mail("I like {{braces}}", subject="{{name}}").send()
        assert "{{" not in str(accepting.body)
        assert "&#123;&#123;braces}}" in accepting.body["variables"]["body_html"]
        assert accepting.body["subject"] == "{\u2060{name}}"

    def test_what_a_customer_typed_as_in_a_link_is_no_placeholder(self, accepting):
        """The API replaces placeholders in this spelling too, since links carry them so."""
        text_mail("http://a.example/%7B%7Bname%7D%7D %7b{x}}", subject="%7B%7bname%7D%7D").send()
        body = accepting.body
        assert not any(pair in str(body).lower() for pair in ("%7b%7b", "%7b{"))
        assert "http://a.example/&#37;7B&#37;7Bname%7D%7D</a>" in body["variables"]["body_html"]
        assert body["subject"] == "%7B\u2060%7bname%7D%7D"
        assert body["variables"]["subject"] == body["subject"]

    def test_a_long_text_made_from_html_is_cut_and_says_so(self, accepting):
        html_mail("<p>word</p>" * 100_000).send()
        text = accepting.body["variables"]["body_text"]
        assert len(text) < 200_100
        assert text.endswith("\n[shortened]")

    def test_a_text_of_its_own_is_not_cut(self, accepting):
        html_mail("<p>Hi</p>", "word " * 50_000).send()
        assert accepting.body["variables"]["body_text"] == "word " * 50_000

    @pytest.mark.parametrize("shape", ["<p ", "<!--", "<a href='", "<body ", "<![CDATA[", "&#"])
    def test_hostile_html_takes_no_long_time(self, accepting, shape):
        start = time.thread_time()
        html_mail(f"<p>Hi</p>{shape * (1_000_000 // len(shape))}").send()
        assert time.thread_time() - start < 5

    def test_a_big_text_takes_little_memory(self, accepting):
        """A contact form of 2.5 MB once took 2.1 GB."""
        message = text_mail("Hello, see http://example.com.\n" * 78_125)
        tracemalloc.start()
        try:
            message.send()
            assert tracemalloc.get_traced_memory()[1] < 100_000_000
        finally:
            tracemalloc.stop()

    def test_what_a_customer_typed_is_no_tag(self, accepting):
        """Whether Migma escapes variables is not known, so text for the layout's HTML must be harmless without it."""
        html_mail("<p>safe</p>", "1 < 2 & <b>", subject="<a href=x>").send()
        assert accepting.body["subject"] == "<a href=x>"
        assert accepting.body["variables"] == {
            "subject": "&lt;a href=x>",
            "body_html": "<p>safe</p>",
            "body_text": "1 &lt; 2 & &lt;b>",
        }


LIMIT = 5_000_000


@pytest.mark.parametrize("route", ["layout", "raw"])
class TestBodySize:
    @pytest.fixture(autouse=True)
    def route_in_force(self, route, migma):
        migma(LAYOUT_EMAIL_ID=LAYOUT if route == "layout" else None)

    @pytest.mark.parametrize(
        ("message", "part"),
        [
            (lambda: text_mail("a" * (LIMIT + 1)), "body"),
            (lambda: text_mail(b"a" * (LIMIT + 1)), "body"),
            (lambda: html_mail("<p>Hi</p>", "a" * (LIMIT + 1)), "body"),
            (lambda: html_mail("a" * (LIMIT + 1), "Hi"), "text/html alternative"),
        ],
    )
    @pytest.mark.parametrize("ignored", [True, ["body_size"]])
    def test_more_than_5_million_characters_are_refused(self, accepting, migma, message, part, ignored):
        """IGNORE_UNSUPPORTED_FEATURES cannot drop this: a mail without its body is no mail."""
        migma(IGNORE_UNSUPPORTED_FEATURES=ignored)
        reason = f"This message's {part} has 5,000,001 characters, and django-migma sends 5,000,000 at most. Shorten"
        with pytest.raises(UnsupportedFeature, match=reason) as caught:
            message().send()
        assert caught.value.feature == "body_size"
        assert "is not Migma's" in str(caught.value)
        assert accepting.bodies == []

    def test_5_million_characters_are_sent(self, accepting):
        html_mail("\u00e9" * LIMIT).send()
        assert len(accepting.bodies) == 1

    def test_a_body_that_stays_behind_may_have_any_size(self, accepting):
        """With a stored email, the message's own body is not sent."""
        message = html_mail("a" * (LIMIT + 1), "a" * (LIMIT + 1))
        message.template_id = LAYOUT
        assert message.send() == 1


class TestRaw:
    def test_sends_html_as_it_is(self, accepting):
        html_mail(DOCUMENT).send()
        assert accepting.body["template"] == DOCUMENT

    def test_html_as_content_subtype(self, accepting):
        message = text_mail("<b>Hi</b>")
        message.content_subtype = "html"
        message.send()
        assert accepting.body["template"] == "<b>Hi</b>"

    def test_other_content_subtype_is_refused(self, accepting, migma):
        message = text_mail("*Hi*")
        message.content_subtype = "markdown"
        with pytest.raises(UnsupportedFeature, match="content_subtype: Migma sends HTML"):
            message.send()
        migma(IGNORE_UNSUPPORTED_FEATURES=["content_subtype"])
        message.send()
        assert "<p>*Hi*</p>" in accepting.body["template"]

    def test_html_alternative_beside_an_html_body(self, accepting, migma):
        """Two HTML parts: one would stay behind without a word."""
        message = html_mail("<b>alternative</b>", "<i>body</i>")
        message.content_subtype = "html"
        with pytest.raises(UnsupportedFeature, match="alternatives: Migma sends one HTML part"):
            message.send()
        migma(IGNORE_UNSUPPORTED_FEATURES=["alternatives"])
        message.send()
        assert accepting.body["template"] == "<b>alternative</b>"

    def test_html_is_found_behind_alternatives_that_are_dropped(self, accepting, migma):
        migma(IGNORE_UNSUPPORTED_FEATURES=["alternatives"])
        message = EmailMultiAlternatives("Hello", "text", to=["ada@example.org"])
        message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
        message.attach_alternative("<b>Hi</b>", "text/html")
        message.send()
        assert accepting.body["template"] == "<b>Hi</b>"

    def test_bytes_are_decoded(self, accepting):
        html_mail("<b>Grüße</b>".encode()).send()
        assert accepting.body["template"] == "<b>Grüße</b>"

    def test_without_merge_data_braces_are_no_placeholder(self, accepting):
        html_mail("<p>{{name}} {{{x}}}</p>", subject="{{{a").send()
        assert accepting.body["template"] == "<p>&#123;&#123;name}} &#123;&#123;{x}}}</p>"
        assert accepting.body["subject"] == "{\u2060{\u2060{a"

    def test_without_merge_data_links_hold_no_placeholder(self, accepting):
        html_mail('<a href="https://a.example/%7b%7Bname%7d%7D">a</a>', subject="%7B%7Ba%7D%7D").send()
        assert accepting.body["template"] == '<a href="https://a.example/&#37;7b&#37;7Bname%7d%7D">a</a>'
        assert accepting.body["subject"] == "%7B\u2060%7Ba%7D%7D"

    def test_with_merge_data_placeholders_stay(self, accepting):
        message = html_mail("<p>{{name}}</p>", subject="{{name}}")
        message.merge_global_data = {"name": "Ada"}
        message.send()
        assert accepting.body["template"] == "<p>{{name}}</p>"
        assert accepting.body["subject"] == "{{name}}"
        assert accepting.body["variables"] == {"name": "Ada"}

    def test_an_empty_body_is_sent(self, accepting):
        text_mail("").send()
        assert "<body" in accepting.body["template"]

    @pytest.mark.parametrize("body", ["diary \ud800", b"diary \xff"])
    def test_what_is_no_text_is_refused_without_showing_it(self, accepting, body):
        with pytest.raises(SerializationError, match="body cannot be sent: it holds a lone surrogate") as caught:
            text_mail(body).send()
        assert "diary" not in str(caught.value)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("section", ["<![if mso]>", "<![>", "<![foo]>"])
    def test_marked_sections_are_comments(self, accepting, migma, section):
        """Mail made for Outlook is full of them."""
        migma(LAYOUT_EMAIL_ID=LAYOUT)
        html_mail(f"<body>{section}<p>Hi</p></body>").send()
        assert accepting.body["variables"]["body_html"] == f"{section}<p>Hi</p>"
        assert accepting.body["variables"]["body_text"] == "Hi"


class TestPlainText:
    def test_is_escaped_linked_and_broken_into_lines(self, accepting):
        text_mail("<b>Hi</b>\nsee https://example.org/?a=1&b=2.\n\nBye").send()
        html = accepting.body["template"]
        link = '<a href="https://example.org/?a=1&amp;b=2">https://example.org/?a=1&amp;b=2</a>'
        assert f"<p>&lt;b&gt;Hi&lt;/b&gt;<br>see {link}.</p>" in html
        assert "<p>Bye</p>" in html

    def test_the_sites_own_template_wins(self, accepting):
        own = {"django_migma/plain_text.html": "<main>{{ html }}</main><!-- {{ text }} -->"}
        with override_settings(
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", own)]},
                }
            ]
        ):
            text_mail("Hi").send()
        assert accepting.body["template"] == "<main><p>Hi</p></main><!-- Hi -->"

    def test_no_template_engine_is_needed(self, accepting):
        with override_settings(TEMPLATES=[]):
            text_mail("Hi").send()
        assert "<p>Hi</p>" in accepting.body["template"]
