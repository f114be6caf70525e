"""Settings and mailer options become one checked Config."""

from __future__ import annotations

import pickle
import traceback

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_migma.api.credentials import API_URL, Secret
from django_migma.conf import (
    OPTION_NAMES,
    SETTINGS,
    Config,
    QueueSettings,
    get_setting,
    is_set,
    load_config,
    setting_error,
    setting_location,
)
from django_migma.exceptions import ConfigurationError

KEY = "sk_live_do_not_show_me"
ID = "665f1c2ab7d3e4f5a6b70001"

# Each setting: its default, a value, another value, both as they stand in the Config.
EXAMPLES = {
    "API_URL": (API_URL, "https://a.example/v1", "http://localhost:8026/v1"),
    "ALLOW_HTTP": (False, True, False),
    "FROM_EMAIL": (None, "Shop <shop@example.com>", "other@example.com"),
    "FROM_NAME": (None, "Shop", "Other"),
    "REPLY_TO": (None, "help@example.com", "Help <other@example.com>"),
    "PROVIDER_TYPE": (None, "ses", "migma"),
    "PROJECT_ID": (None, "p-1_a", ID),
    "LAYOUT_EMAIL_ID": (None, ID, ID.upper()),
    "STORED_EMAILS": ({}, {"welcome": ID}, {"receipt": {"email_id": ID}}),
    "TRANSACTIONAL": (None, True, False),
    "REDIRECT_TO": (None, "test@example.com", "Test <other@example.com>"),
    "TIMEOUT": ((3.05, 10), (1, 2), (0.5, 30.0)),
    "MAX_RETRIES": (4, 0, 9),
    "RETRY_DEADLINE": (20, 0.5, 60),
    "RATE_LIMIT": (None, "100/m", "5/s"),
    "RATE_LIMIT_WAIT": (600, 0, 0.5),
    "MAX_CONCURRENCY": (16, 1, 64),
    "IGNORE_UNSUPPORTED_FEATURES": (frozenset(), True, False),
    "FALLBACK": (None, "smtp", "django.core.mail.backends.console.EmailBackend"),
    "MISSING_VARIABLES": ("warn", "raise", "ignore"),
    "FAIL_SILENTLY": (False, True, False),
    "DELIVERY_LOG": (False, True, False),
    "TEST_SENDS_PER_HOUR": (100, 0, 10**6),
}
EACH = pytest.mark.parametrize("name", EXAMPLES)


@pytest.fixture(autouse=True)
def _only_a_key(settings):
    """Of the suite's own settings, none but a key is in force."""
    settings.MIGMA = {"API_KEY": KEY}


def loaded(name, options=None, **migma):
    """What the Config says of one setting."""
    with override_settings(MIGMA={"API_KEY": KEY, **migma}):
        return getattr(load_config(options or {}), name.lower())


def test_the_table_holds_every_setting():
    """`Config` and the options of a mailer have the same names: each setting can be set in both places."""
    assert EXAMPLES.keys() | {"API_KEY", "QUEUE"} == SETTINGS.keys()
    assert set(Config._fields) == OPTION_NAMES == {name.lower() for name in SETTINGS}


@EACH
def test_a_setting_has_its_default(name):
    default, _, _ = EXAMPLES[name]
    assert loaded(name) == default


@EACH
def test_a_key_of_the_setting_is_read(name):
    _, value, other = EXAMPLES[name]
    assert loaded(name, **{name: value}) == value
    assert loaded(name, **{name: other}) == other


@EACH
def test_an_option_of_the_mailer_beats_the_setting(name):
    _, value, other = EXAMPLES[name]
    assert loaded(name, {name.lower(): other}, **{name: value}) == other
    assert loaded(name, {name.lower(): value}) == value


@EACH
@pytest.mark.parametrize("unset", [None, ""])
def test_none_and_empty_mean_unset(name, unset):
    """An empty environment variable counts as unset."""
    default, value, _ = EXAMPLES[name]
    assert loaded(name, **{name: unset}) == default
    assert loaded(name, {name.lower(): unset}, **{name: value}) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TIMEOUT", 5, (5, 5)),
        ("TIMEOUT", 0.5, (0.5, 0.5)),
        ("TIMEOUT", [1, 2], (1, 2)),
        ("IGNORE_UNSUPPORTED_FEATURES", ["tags", "headers:X-Foo"], frozenset({"tags", "headers:X-Foo"})),
        ("IGNORE_UNSUPPORTED_FEATURES", {"tags"}, frozenset({"tags"})),
        ("IGNORE_UNSUPPORTED_FEATURES", ("tags",), frozenset({"tags"})),
        ("IGNORE_UNSUPPORTED_FEATURES", [], frozenset()),
    ],
)
def test_several_spellings_mean_the_same(name, value, expected):
    assert loaded(name, **{name: value}) == expected
    assert loaded(name, {name.lower(): value}) == expected


WHOLE = "must be a whole number from {}, not {!r}"
SECONDS = "must be a number of seconds above 0, not {!r}"
PAIR = "must be seconds above 0, or a pair of them (connect, read), not {!r}"
ADDRESS = "must be one address, such as hello@example.com or Example <hello@example.com>"
PROVIDER = "must be one of ses, resend, sendgrid, mailgun, migma, not {!r}"
PROJECT = "must be the id of a Migma project (letters and digits, 100 at most), not {!r}"
ENGINE = (
    "has the ENGINE {!r}. Choose django_migma.engines.tasks or django_migma.engines.celery, or None for migma_deliver"
)
SCHEDULE = "has the SCHEDULE {!r}. Give seconds above 0, up to a day, such as (15, 60, 300, 900, 3600, 10800)"
BAD = [
    ("MISSING_VARIABLES", "perhaps", "must be one of raise, warn, ignore, not 'perhaps'"),
    ("API_KEY", "sk 1", "contains white space (a line break at its end is the usual cause: strip it)"),
    ("API_KEY", b"sk_1", "must be a string or a callable that returns one, not bytes"),
    ("API_URL", 7, "must be a string, not int"),
    ("API_URL", "nonsense", f"must look like {API_URL}"),
    (
        "API_URL",
        "http://sandbox:8026/v1",
        "sends the API key unencrypted: use https, or set ALLOW_HTTP for a sandbox in a trusted network",
    ),
    *(
        (name, value, f"must be True or False, not {value!r}")
        for name in ("ALLOW_HTTP", "TRANSACTIONAL", "FAIL_SILENTLY", "DELIVERY_LOG")
        for value in ("yes", 1, 0)
    ),
    *((name, "nobody", ADDRESS) for name in ("FROM_EMAIL", "REPLY_TO", "REDIRECT_TO")),
    ("REPLY_TO", "a@example.com, b@example.com", ADDRESS),
    ("REPLY_TO", ["a@example.com"], ADDRESS),
    ("FROM_NAME", 7, "must be a string, not int"),
    *(
        ("FROM_NAME", f"Shop{character}Bcc: eve@example.com", "contains a line break or another control character")
        for character in "\r\n\0"
    ),
    ("PROVIDER_TYPE", "smtp", PROVIDER.format("smtp")),
    ("PROVIDER_TYPE", ["ses"], PROVIDER.format(["ses"])),
    *(("PROJECT_ID", value, PROJECT.format(value)) for value in ("p/1", "é", "p" * 101, 7)),
    ("LAYOUT_EMAIL_ID", "welcome", "must be the id of a stored email, 24 hex digits, not 'welcome'"),
    *(("TIMEOUT", value, PAIR.format(value)) for value in ("5", 0, -1, True, (1,), (1, 2, 3), (1, None), ())),
    ("TIMEOUT", float("nan"), PAIR.format(float("nan"))),
    *(("MAX_RETRIES", value, WHOLE.format(0, value)) for value in (-1, 1.5, "3", True, 4.0)),
    *(("MAX_CONCURRENCY", value, WHOLE.format(1, value)) for value in (0, "3", 16.0)),
    *(
        ("RATE_LIMIT", value, f'must be requests per s, m, h or d, such as "100/m", not {value!r}')
        for value in ("100", "0/m", 100)
    ),
    *(
        ("RATE_LIMIT_WAIT", value, f"must be a number of seconds from 0, not {value!r}")
        for value in (-1, "600", True, False)
    ),
    *(("RETRY_DEADLINE", value, SECONDS.format(value)) for value in (0, -1, "20", True, float("inf"))),
    *(
        ("IGNORE_UNSUPPORTED_FEATURES", value, f"must be a list of feature names, or True, not {value!r}")
        for value in ("tags", [1], {"tags": True}, 1)
    ),
    ("QUEUE", "celery", "must be a dict, not str"),
    ("QUEUE", {"Engine": None}, "has the unknown key 'Engine'. Known are ENGINE, LEASE, SCHEDULE"),
    *(("QUEUE", {"ENGINE": value}, ENGINE.format(value)) for value in ("celery", 7, ["django_migma.engines.celery"])),
    *(
        ("QUEUE", {"SCHEDULE": value}, SCHEDULE.format(value))
        for value in (15, [], (), "15", [15, 0], [True], [float("inf")], [15, 1e300])
    ),
    *(
        ("QUEUE", {"LEASE": value}, f"has the LEASE {value!r}. Give seconds above 0, up to a day, or None")
        for value in (0, "9", True, 86_401)
    ),
]


@pytest.mark.parametrize(("name", "value", "problem"), BAD)
def test_an_unusable_value_is_refused_with_its_place(name, value, problem):
    """Whether it stands in MIGMA or in the options of a mailer."""
    options = {name.lower(): value}
    assert setting_error(name, options) == problem
    with pytest.raises(ConfigurationError) as caught:
        load_config(options)
    advice = " Take it from Migma's dashboard, and keep it out of the code." if name == "API_KEY" else ""
    assert str(caught.value) == f"OPTIONS['{name.lower()}'] {problem}.{advice}"
    with override_settings(MIGMA={"API_KEY": KEY, name: value}):
        assert setting_error(name, {}) == problem
        with pytest.raises(ConfigurationError) as caught:
            load_config({})
    assert str(caught.value) == f"MIGMA['{name}'] {problem}.{advice}"


def test_the_queue_has_defaults_of_its_own():
    """Each key may be left out, or be None or empty."""
    usual = QueueSettings(engine=None, schedule=(15, 60, 300, 900, 3600, 10800), lease=None)
    assert loaded("QUEUE") == loaded("QUEUE", QUEUE={}) == usual
    assert loaded("QUEUE", QUEUE={"ENGINE": "", "SCHEDULE": None, "LEASE": None}) == usual


def test_the_queue_is_read_whole_from_one_place():
    """The option of a mailer replaces the setting; their keys are not merged."""
    option = {"ENGINE": "django_migma.engines.celery"}
    setting = {"SCHEDULE": [15, 0.5], "LEASE": 90}
    assert loaded("QUEUE", QUEUE=setting) == QueueSettings(None, (15, 0.5), 90)
    assert loaded("QUEUE", {"queue": option}, QUEUE=setting) == QueueSettings(option["ENGINE"])


def test_under_an_alias_the_error_is_what_django_raises_there():
    """The text names the alias, and the error is an InvalidMailer where Django has that."""
    with pytest.raises(ConfigurationError) as caught:
        load_config({"max_retries": -1}, "news")
    assert str(caught.value) == ("MAILERS['news']: OPTIONS['max_retries'] must be a whole number from 0, not -1.")
    assert isinstance(caught.value, ImproperlyConfigured)
    assert ("InvalidMailer" in {kind.__name__ for kind in type(caught.value).__mro__}) is (django.VERSION >= (6, 1))


def test_allow_http_lets_the_address_pass():
    """Wherever it is set, but only as True itself."""
    url = {"api_url": "http://sandbox:8026/v1"}
    assert load_config(url | {"allow_http": True}).api_url == "http://sandbox:8026/v1"
    with override_settings(MIGMA={"API_KEY": KEY, "ALLOW_HTTP": True}):
        assert load_config(url).allow_http is True
        with pytest.raises(ConfigurationError, match=r"^OPTIONS\['api_url'\] sends the API key unencrypted"):
            load_config(url | {"allow_http": False})
    assert setting_error("API_URL", url | {"allow_http": "yes"}) != ""


def test_override_settings_takes_effect_at_once():
    """Nothing is frozen at import."""
    with override_settings(MIGMA={"API_KEY": KEY, "FROM_NAME": "One"}):
        assert load_config({}).from_name == "One"
        with override_settings(MIGMA={"API_KEY": KEY, "FROM_NAME": "Two"}):
            assert load_config({}).from_name == "Two"
        assert load_config({}).from_name == "One"
    assert load_config({}).from_name is None


@pytest.mark.parametrize("migma", [None, [], "sk_1", 7])
def test_a_setting_that_is_no_dict_is_ignored(settings, migma):
    """A system check reports it; options work all the same."""
    settings.MIGMA = migma
    assert get_setting("MAX_RETRIES", {}) == 4
    assert load_config({"api_key": KEY}).max_retries == 4


def test_no_setting_at_all_is_no_error(settings):
    del settings.MIGMA
    assert get_setting("API_KEY", {}) is None
    assert load_config({"api_key": KEY}).api_key == KEY


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ("", False), (0, True), (False, True), ([], True), (" ", True)]
)
def test_only_none_and_the_empty_string_are_unset(value, expected):
    assert is_set(value) is expected


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({}, "MIGMA['FROM_NAME']"),
        ({"from_name": ""}, "MIGMA['FROM_NAME']"),
        ({"from_name": "A"}, "OPTIONS['from_name']"),
    ],
)
def test_a_place_is_where_the_value_in_force_comes_from(options, place):
    assert setting_location("FROM_NAME", options) == place


class Vault:
    """A callable key that counts how often it is asked."""

    def __init__(self, answer=KEY):
        self.answer = answer
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.answer


def test_a_callable_key_is_called_once_per_load(settings):
    """It is not called while settings are checked."""
    vault, other = Vault(), Vault("sk_other")
    settings.MIGMA = {"API_KEY": vault}
    assert setting_error("API_KEY", {}) == ""
    assert setting_error("API_KEY", {"api_key": other}) == ""
    assert (vault.asked, other.asked) == (0, 0)
    assert load_config({}).api_key == KEY
    assert load_config({"api_key": other}).api_key == "sk_other"
    assert (vault.asked, other.asked) == (1, 1)


def test_a_rotated_key_is_used_from_the_next_call_on(settings):
    vault = Vault()
    settings.MIGMA = {"API_KEY": vault}
    load_config({})
    vault.answer = "sk_new"
    assert load_config({}).api_key == "sk_new"


ADVICE = "Take it from Migma's dashboard, and keep it out of the code."


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "is not set, and nothing can be sent without a key"),
        ("", "is not set, and nothing can be sent without a key"),
        (f"{KEY}\n", "contains white space (a line break at its end is the usual cause: strip it)"),
        (KEY.encode(), "must be a string or a callable that returns one, not bytes"),
    ],
)
def test_a_callable_that_returns_no_usable_key_is_refused(settings, answer, problem):
    settings.MIGMA = {"API_KEY": Vault(answer)}
    with pytest.raises(ConfigurationError) as caught:
        load_config({})
    assert str(caught.value) == f"MIGMA['API_KEY'] {problem}. {ADVICE}"


@pytest.mark.parametrize("migma", [{}, {"API_KEY": None}, {"API_KEY": ""}])
@pytest.mark.parametrize(("alias", "start"), [(None, ""), ("news", "MAILERS['news']: ")])
def test_without_a_key_nothing_can_be_sent(settings, migma, alias, start):
    settings.MIGMA = migma
    with pytest.raises(ConfigurationError) as caught:
        load_config({}, alias)
    assert str(caught.value) == (
        f"{start}MIGMA['API_KEY'] is not set, and nothing can be sent without a key. {ADVICE}"
    )


def test_the_error_of_a_callable_key_reaches_the_caller_unchanged(settings):

    def vault():
        raise LookupError("sealed")

    settings.MIGMA = {"API_KEY": vault}
    with pytest.raises(LookupError, match="sealed"):
        load_config({})


def test_a_config_does_not_show_its_key():
    config = load_config({})
    assert isinstance(config.api_key, Secret)
    assert config.api_key == KEY
    assert KEY not in repr(config) + str(config) + repr(config._asdict()) + f"{config.api_key}"
    assert KEY.encode() not in pickle.dumps(config)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}😀", KEY.encode()])
@pytest.mark.parametrize("wrapped", [lambda key: key, Vault])
def test_no_error_shows_the_key(settings, key, wrapped):
    """The text of the error does not, and the variables of our frames do not."""
    settings.MIGMA = {"API_KEY": wrapped(key)}
    with pytest.raises(ConfigurationError, match=r"^MIGMA\['API_KEY'\] ") as caught:
        load_config({})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame.locals for frame in shown.stack if frame.filename.endswith("/django_migma/conf.py")]
    assert ours
    assert KEY not in f"{caught.value} {ours}"


def test_a_config_does_not_change():
    """One call works with one set of values."""
    with pytest.raises(AttributeError, match="can't set attribute"):
        load_config({}).timeout = (1, 1)
