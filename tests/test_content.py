"""The three routes: what the body of a message becomes on each."""

import time
import tracemalloc
from decimal import Decimal
from html import unescape

import pytest
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from django_migma.conf import load_config
from django_migma.exceptions import MissingVariables, SerializationError, UnsupportedFeature
from django_migma.payload import build_payloads
from django_migma.variables import placeholder_names

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
        assert time.thread_time() - start < 20

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


def invitation(html='<p>Hi {{first_name}}, <a href="{{url}}">come</a></p>', text="", **kwargs):
    kwargs = {"subject": "{{first_name}}, come to {{shop}}", "to": ["ada@example.org", "bo@example.org"]} | kwargs
    message = html_mail(html, text, **kwargs) if html else text_mail(text, **kwargs)
    message.merge_global_data = {"shop": "Beans & Co", "url": "https://a.example/?a=1&b=2"}
    message.merge_data = {"ada@example.org": {"first_name": "Ada"}, "bo@example.org": {"first_name": "<b>Bo</b>"}}
    return message


class TestLayoutWithMergeData:
    """A message's own placeholders are filled here: Migma fills those of the layout, and reads none in a variable."""

    @pytest.fixture(autouse=True)
    def layout(self, migma):
        migma(LAYOUT_EMAIL_ID=LAYOUT, MAX_CONCURRENCY=1)

    @pytest.fixture
    def variables(self, accepting):
        """What goes to the layout for the first recipient of a message that is sent."""

        def send(message):
            message.send()
            return accepting.bodies[0]["variables"]

        return send

    def test_each_recipient_gets_texts_of_their_own(self, accepting):
        """Escaped in HTML, as text in the subject and the text part; the layout may use the data, too."""
        invitation(text="Hi {{ first_name }}, see {{url}}").send()
        ada, bo = accepting.bodies
        link = '<a href="https://a.example/?a=1&amp;b=2">come</a>'
        assert ada["subject"] == "Ada, come to Beans & Co"
        assert ada["variables"] == {
            "subject": "Ada, come to Beans & Co",
            "body_html": f"<p>Hi Ada, {link}</p>",
            "body_text": "Hi Ada, see https://a.example/?a=1&b=2",
            "first_name": "Ada",
            "shop": "Beans & Co",
            "url": "https://a.example/?a=1&b=2",
        }
        assert bo["subject"] == "<b>Bo</b>, come to Beans & Co"
        assert bo["variables"]["subject"] == "&lt;b>Bo&lt;/b>, come to Beans & Co"
        assert bo["variables"]["body_html"] == f"<p>Hi &lt;b&gt;Bo&lt;/b&gt;, {link}</p>"
        assert bo["variables"]["body_text"] == "Hi &lt;b>Bo&lt;/b>, see https://a.example/?a=1&b=2"

    def test_a_text_is_made_of_the_html_as_it_was_filled(self, variables):
        """So the address of a link stands in it."""
        assert variables(invitation())["body_text"] == "Hi Ada, come (https://a.example/?a=1&b=2)"

    def test_html_is_made_of_the_text_as_it_was_filled(self, accepting):
        """So an address can be clicked, lines break where the value breaks them, and nothing becomes a tag."""
        message = invitation(html="", text="Hi {{first_name}}\n{{url}}\n{{address}}")
        message.merge_global_data["address"] = mark_safe("Main <Street>\nTown")
        message.send()
        html = accepting.bodies[1]["variables"]["body_html"]
        link = '<a href="https://a.example/?a=1&amp;b=2">https://a.example/?a=1&amp;b=2</a>'
        assert f"Hi &lt;b&gt;Bo&lt;/b&gt;<br>{link}<br>Main &lt;Street&gt;<br>Town" in html

    @pytest.mark.parametrize("mark", [mark_safe, lambda text: mark_safe(gettext_lazy(text))])
    @pytest.mark.parametrize("place", ["merge_global_data", "merge_data"])
    def test_a_safe_string_stays_html(self, variables, place, mark):
        message, data = invitation("<p>{{badge}}</p>"), {"badge": mark("<b>1 &amp; 2</b>")}
        setattr(message, place, data if place == "merge_global_data" else {"ada@example.org": data})
        found = variables(message)
        assert found["body_html"] == "<p><b>1 &amp; 2</b></p>"
        assert found["body_text"] == "1 & 2"

    def test_a_recipients_own_value_is_escaped_where_the_one_for_all_is_safe(self, variables):
        message = invitation("<p>{{badge}}</p>")
        message.merge_global_data = {"badge": mark_safe("<b>all</b>")}
        message.merge_data = {"ada@example.org": {"badge": "<b>own</b>"}}
        assert variables(message)["body_html"] == "<p>&lt;b&gt;own&lt;/b&gt;</p>"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (None, ""),
            ("", ""),
            (7, "7"),
            (9.5, "9.5"),
            (True, "true"),
            (Decimal("9.90"), "9.90"),
            (["ä", 1], '["ä", 1]'),
        ],
    )
    def test_a_value_that_is_no_text_is_written_as_json(self, accepting, value, shown):
        """None is nothing. The layout gets the values as they are."""
        message = html_mail("<p>{{v}}</p>", subject="{{v}}")
        message.merge_global_data = {"v": value}
        message.send()
        assert unescape(accepting.body["variables"]["body_html"]) == f"<p>{shown}</p>"
        assert accepting.body["subject"] == shown
        assert accepting.body["variables"]["v"] == (str(value) if isinstance(value, Decimal) else value)

    @pytest.mark.parametrize(
        ("template", "value"),
        [
            ("{{v}}", "{{secret}}"),
            ("{{v}}", "{{v}}"),
            ("{{v}}{secret}}", "{"),
            ("{{{v}}", "{secret}}"),
            ("{{v}}{{v}}", "{"),
            ("{{v}}7B%7Bsecret%7D%7D", "%"),
            ("{{v}}", "%7B%7bsecret%7D%7D"),
        ],
    )
    def test_what_a_value_holds_is_no_placeholder(self, accepting, template, value):
        """Neither here nor at Migma, whatever stands beside it."""
        message = html_mail(f"<p>{template}</p>", template, subject=template)
        message.merge_global_data = {"v": value, "secret": "hidden"}
        message.send()
        body = accepting.body
        shown = [body["subject"], *(body["variables"][name] for name in ("subject", "body_html", "body_text"))]
        assert placeholder_names(*shown) == []
        assert "hidden" not in str(shown)
        assert shown[0].replace("\u2060", "") == template.replace("{{v}}", value)

    def test_a_line_break_in_a_value_that_the_subject_names_stays_refused(self, accepting):
        message = invitation()
        message.merge_global_data["shop"] = "Beans\nBcc: x@example.org"
        with pytest.raises(ValueError, match="The subject uses the variable 'shop', whose value contains a line"):
            message.send()
        assert accepting.bodies == []

    def test_a_placeholder_without_a_value_is_shown_and_logged(self, accepting, caplog):
        """Each recipient is looked at: the second has no data."""
        message = invitation("<p>{{first_name}} {{nobody}}</p>", "{{subject}}")
        del message.merge_data["bo@example.org"]
        message.send()
        ada, bo = accepting.bodies
        assert unescape(ada["variables"]["body_html"]) == "<p>Ada {{nobody}}</p>"
        assert unescape(bo["variables"]["body_html"]) == "<p>{{first_name}} {{nobody}}</p>"
        assert bo["subject"] == "{\u2060{first_name}}, come to Beans & Co"
        assert message.migma_status.missing_variables == {"first_name", "nobody", "subject"}
        [line] = caplog.messages
        through = "the mailer 'default'" if hasattr(mail, "mailers") else "Migma"
        assert line == (
            f"Mail through {through} lacked variables that its own text uses: first_name, nobody, subject. "
            "See MISSING_VARIABLES."
        )

    def test_a_placeholder_without_a_value_stops_the_message_if_the_settings_say_so(self, accepting, migma, caplog):
        migma(MISSING_VARIABLES="raise")
        message = invitation()
        message.merge_data["bo@example.org"] = None
        with pytest.raises(MissingVariables) as caught:
            message.send()
        assert caught.value.names == ("first_name",)
        assert str(caught.value) == (
            "The message's own text uses first_name, which 1 of 2 recipients would not get. Pass them in "
            "merge_global_data or merge_data."
        )
        assert accepting.bodies == []
        assert message.migma_status.missing_variables == {"first_name"}
        assert len(caplog.messages) == 1

    def test_placeholders_without_values_can_be_ignored(self, accepting, migma, caplog):
        migma(MISSING_VARIABLES="ignore")
        message = invitation("{{nobody}}")
        assert message.send() == 1
        assert message.migma_status.missing_variables == frozenset()
        assert caplog.messages == []

    def test_data_for_somebody_who_is_no_recipient_stays_here(self, accepting):
        """Code that drops a recipient at the last moment need not tidy its data, and nobody else gets to see them."""
        message = invitation(to=["ada@example.org"])
        assert message.send() == 1
        assert "Bo" not in str(accepting.body)

    def test_redirected_mail_is_filled_for_the_first_recipient(self, accepting, migma):
        migma(REDIRECT_TO="staging@example.com")
        invitation().send()
        assert accepting.body["subject"] == "[to ada@example.org, bo@example.org] Ada, come to Beans & Co"
        assert "Hi Ada" in accepting.body["variables"]["body_html"]

    def test_own_data_may_not_take_the_layouts_names(self, accepting):
        message = invitation()
        message.merge_data["bo@example.org"]["body_text"] = "mine"
        with pytest.raises(ValueError, match=r"merge data sets \['body_text'\], which the layout uses"):
            message.send()
        assert accepting.bodies == []

    def test_many_recipients_with_the_same_data_share_one_body(self, accepting, migma):
        """It is filled once: 2 MB for 100 recipients take no 200 MB."""
        message = html_mail("<p>{{shop}}</p>" + "a" * 2_000_000, "text", to=[f"r{n}@example.org" for n in range(100)])
        message.merge_global_data = {"shop": "Beans"}
        config = load_config({"api_key": "k", "layout_email_id": LAYOUT})
        tracemalloc.start()
        try:
            payloads = build_payloads(message, config)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()
        assert {payload.request.variables["body_html"][:12] for payload in payloads} == {"<p>Beans</p>"}


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
