"""Fernhill Coffee, visited over HTTP, and the mail that its sandbox accepts."""

from __future__ import annotations

import re
import shlex
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import requests

from django_migma.sandbox import account
from django_migma.sandbox.server import Sandbox

from .conftest import EXAMPLE, run, submit
from .test_settings import OWN_ACCOUNT

ORDER_IN_A_TRANSACTION = """
import requests
from django.db import transaction
from django.test import Client

def sends():
    return requests.get("{url}/_sandbox/stats", timeout=60).json()["sending_posts"]

with transaction.atomic():
    fields = {{"first_name": "Robin", "email": "customer@example.com", "bags_1": 1}}
    answer = Client(SERVER_NAME="127.0.0.1").post("/order/", fields)
    print(answer.status_code, sends(), end=" ")
    transaction.set_rollback({rollback})
print(sends())
"""


def only_message(sandbox: Sandbox) -> dict[str, object]:
    (message,) = sandbox.store.messages()
    return dict(message.body)


def test_signing_up_sends_the_stored_welcome(sandbox: Sandbox, site: str, browser: requests.Session) -> None:
    password = "a long enough one"
    fields = {"username": "new", "first_name": "<b>Robin</b>", "email": "new@example.com"}
    answer = submit(browser, f"{site}/sign-up/", **fields, password1=password, password2=password)
    assert "Sign out" in answer.text
    assert "Your account is ready. Your welcome email is sent." in answer.text
    body = only_message(sandbox)
    assert (body["recipientEmail"], body["emailId"]) == ("new@example.com", account.WELCOME)
    assert body["variables"] == {"first_name": "&lt;b&gt;Robin&lt;/b&gt;", "shop_url": f"{site}/order/"}
    assert (body["from"], body["fromName"]) == ("hello@fernhill.example", "Fernhill Coffee")


def test_the_password_reset_is_a_stored_email_and_its_link_works(
    sandbox: Sandbox, site: str, browser: requests.Session
) -> None:
    password = "a long enough one"
    fields = {"username": "forgetful", "first_name": "<b>Robin</b>", "email": "forgetful@example.com"}
    submit(browser, f"{site}/sign-up/", **fields, password1=password, password2=password)
    sandbox.store.reset()
    submit(browser, f"{site}/accounts/password_reset/", email="forgetful@example.com")
    assert only_message(sandbox)["emailId"] == account.PASSWORD_RESET
    (message,) = sandbox.store.messages()
    assert message.subject == "Choose a new password"
    assert "Hello &lt;b&gt;Robin&lt;/b&gt;, we" in message.html
    assert "{{" not in message.html
    link = re.search(rf'href="({site}/accounts/reset/[^"]+)"', message.html)
    assert link
    form = browser.get(link[1], timeout=60)
    changed = submit(browser, form.url, new_password1="another long one", new_password2="another long one")
    assert "Your password is changed" in changed.text
    signed_in = submit(browser, f"{site}/accounts/login/", username="forgetful", password="another long one")
    assert "Sign out" in signed_in.text


def test_mail_that_only_resembles_a_password_reset_is_left_alone(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = """
from django.core.mail import send_mail
send_mail("Choose a new password", "https://fernhill.example/reset/", None, ["customer@example.com"])
send_mail("It broke", "https://fernhill.example/reset/MQ/a-token/", None, ["customer@example.com"])
"""
    done = run("manage.py", "shell", "-v0", "-c", script, **variables)
    assert done.returncode == 0, done.stderr
    assert [message.body["emailId"] for message in sandbox.store.messages()] == [account.LAYOUT] * 2


def test_an_order_mails_its_receipt(sandbox: Sandbox, site: str, browser: requests.Session) -> None:
    fields = {"first_name": "Robin", "email": "customer@example.com", "bags_1": "2", "bags_3": "1"}
    page = submit(browser, f"{site}/order/", **fields)
    assert "Thank you, Robin." in page.text
    body = only_message(sandbox)
    assert (body["recipientEmail"], body["emailId"]) == ("customer@example.com", account.RECEIPT)
    variables = body["variables"]
    assert isinstance(variables, dict)
    assert variables["items_html"] == (
        '<tr><td>Morning Fog</td><td align="center">2</td><td align="right">€ 19.00</td></tr>'
        '<tr><td>Night Train</td><td align="center">1</td><td align="right">€ 8.00</td></tr>'
    )
    assert (variables["total"], variables["order_url"]) == ("€ 27.00", page.url)
    assert body["subject"] == f"Your receipt for order {variables['order_number']}"
    (message,) = sandbox.store.messages()
    assert "{{" not in message.html
    assert message.idempotency_key


def test_an_order_mails_its_invoice_which_migma_cannot_carry(
    sandbox: Sandbox, site: str, browser: requests.Session, mail_folder: Path
) -> None:
    submit(browser, f"{site}/order/", first_name="Robin (50 €)", email="customer@example.com", bags_1="2")
    message = only_message_in_files(mail_folder)
    assert (message["To"], message["Subject"][:22]) == ("customer@example.com", "Your invoice for order")
    [attachment] = message.iter_attachments()
    pdf = attachment.get_content()
    assert pdf.startswith(b"%PDF-1.4\n")
    assert b"(To Robin \\(50 \x80\\) \\(customer@example.com\\), paid on delivery) Tj" in pdf
    assert b"Morning Fog" in pdf
    start = int(re.findall(rb"startxref\n(\d+)\n", pdf)[0])
    offsets = [int(line[:10]) for line in pdf[start:].splitlines()[3:8]]
    assert [pdf[offset:].split()[0] for offset in offsets] == [b"1", b"2", b"3", b"4", b"5"]
    assert sandbox.store.stats()["sending_posts"] == 1


def only_message_in_files(folder: Path) -> EmailMessage:
    (path,) = folder.iterdir()
    return message_from_bytes(path.read_bytes().rpartition(b"\n" + b"-" * 79)[0], policy=default)


def test_an_order_of_nothing_is_refused(sandbox: Sandbox, site: str, browser: requests.Session) -> None:
    page = submit(browser, f"{site}/order/", first_name="Robin", email="customer@example.com", bags_1="0")
    assert "Choose at least one bag." in page.text
    assert not sandbox.store.messages()


def test_a_receipt_is_mailed_after_commit(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = ORDER_IN_A_TRANSACTION.format(url=sandbox.url, rollback=False)
    assert run("manage.py", "shell", "-v0", "-c", script, **variables).stdout == "302 0 1\n"


def test_an_order_that_is_rolled_back_mails_nothing(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = ORDER_IN_A_TRANSACTION.format(url=sandbox.url, rollback=True)
    assert run("manage.py", "shell", "-v0", "-c", script, **variables).stdout == "302 0 0\n"


def test_an_order_is_kept_when_its_receipt_cannot_be_sent(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = ORDER_IN_A_TRANSACTION.format(url=sandbox.url, rollback=False)
    done = run("manage.py", "shell", "-v0", "-c", script, **variables, DEFAULT_FROM_EMAIL="hello@lumenbikes.example")
    assert done.stdout == "302 0 1\n"
    assert done.returncode == 0
    assert "the domain lumenbikes.example is not verified" in done.stderr
    assert not sandbox.store.messages()


def test_no_page_claims_that_mail_was_sent_which_was_refused(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = """
from django.test import Client
client = Client(SERVER_NAME="127.0.0.1")
who, password = {"first_name": "Robin", "email": "refused@example.com"}, "a long enough one"
new = {"username": "refused", "password1": password, "password2": password}
for path, fields in (("/sign-up/", who | new), ("/order/", who | {"bags_1": 1})):
    print(client.post(path, fields, follow=True).content.decode())
"""
    done = run("manage.py", "shell", "-v0", "-c", script, **variables, DEFAULT_FROM_EMAIL="hello@lumenbikes.example")
    assert "Your account is ready. Your welcome email is not sent yet: we are looking into it." in done.stdout
    assert [line.rpartition(" order ")[2].split(" ", 1)[1] for line in mail_on_page(done.stdout)] == [
        "not sent yet: we are looking into it ·",
        "sent ·",  # the invoice goes another way
    ]


def test_every_page_leads_to_the_inbox_of_the_sandbox(sandbox: Sandbox, site: str, browser: requests.Session) -> None:
    for page in ("", "order/", "accounts/login/"):
        assert f'Mail of this shop: <a href="{sandbox.url}/">' in browser.get(f"{site}/{page}", timeout=60).text


def test_with_a_key_of_your_own_no_page_speaks_of_a_sandbox(variables: dict[str, str]) -> None:
    script = "from django.test import Client; print(Client(SERVER_NAME='127.0.0.1').get('/').content.decode())"
    done = run("manage.py", "shell", "-v0", "-c", script, **variables | OWN_ACCOUNT)
    assert "an example site of django-migma." in done.stdout
    assert "sandbox" not in done.stdout


def test_names_in_a_receipt_are_escaped(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = """
from shop import mail, models
coffee = models.Coffee.objects.create(name="<i>Beans</i> & more", notes="none", price=1)
order = models.Order.objects.create(first_name="<script>", email="customer@example.com")
models.Line.objects.create(order=order, coffee=coffee, bags=1, unit_price=1)
mail.send_receipt(order, "http://127.0.0.1/")
coffee.line_set.all().delete()
coffee.delete()
"""
    done = run("manage.py", "shell", "-v0", "-c", script, **variables)
    assert done.returncode == 0, done.stderr
    (message,) = sandbox.store.messages()
    assert "&lt;i&gt;Beans&lt;/i&gt; &amp; more" in message.html
    assert "Thank you, &lt;script&gt;." in message.html


def test_the_admin_lists_orders(
    sandbox: Sandbox, site: str, browser: requests.Session, variables: dict[str, str]
) -> None:
    submit(browser, f"{site}/order/", first_name="Robin", email="listed@example.com", bags_2="3")
    options = ("--noinput", "--username=keeper", "--email=keeper@example.com")
    password = {"DJANGO_SUPERUSER_PASSWORD": "a long enough one"}
    assert run("manage.py", "createsuperuser", *options, **password, **variables).returncode == 0
    submit(browser, f"{site}/admin/login/", username="keeper", password="a long enough one")
    page = browser.get(f"{site}/admin/shop/order/", timeout=60)
    assert "listed@example.com" in page.text
    assert "25.50" in page.text


def test_staff_see_the_stored_emails_by_the_keys_that_code_uses(
    site: str, browser: requests.Session, sandbox: Sandbox, variables: dict[str, str]
) -> None:
    options = ("--noinput", "--username=marketer", "--email=marketer@example.com")
    password = {"DJANGO_SUPERUSER_PASSWORD": "a long enough one"}
    assert run("manage.py", "createsuperuser", *options, **password, **variables).returncode == 0
    submit(browser, f"{site}/admin/login/", username="marketer", password="a long enough one")
    page = browser.get(f"{site}/admin/django_migma/storedemail/", timeout=60)
    keys = re.findall(r'class="field-display_key"><code title="([^"]+)"', page.text)
    assert sorted(keys) == ["letter", "password-reset", "receipt", "welcome"]


def test_stored_emails_are_fetched_before_they_are_named(variables: dict[str, str], tmp_path: Path) -> None:
    empty = variables | {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    assert run("manage.py", "migrate", "-v0", **empty).returncode == 0
    done = run("manage.py", "name_stored_emails", **empty)
    assert done.returncode == 1
    assert f"The stored email {account.WELCOME} is not here yet. Run manage.py migma_sync first." in done.stderr


def test_every_page_of_an_account_is_the_shops_own(site: str, browser: requests.Session, sandbox: Sandbox) -> None:
    password = "a long enough one"
    fields = {"username": "walker", "first_name": "Robin", "email": "walker@example.com"}
    submit(browser, f"{site}/sign-up/", **fields, password1=password, password2=password)
    pages = ("login", "password_change", "password_change/done", "password_reset", "password_reset/done")
    for page in (*pages, "reset/done", "reset/MQ/no-token"):
        answer = browser.get(f"{site}/accounts/{page}/", timeout=60)
        assert answer.status_code == 200
        assert "Fernhill <em>Coffee</em>" in answer.text
    answer = submit(browser, f"{site}/accounts/password_change/", old_password="wrong")
    assert "was entered incorrectly" in answer.text


def mail_on_page(page: str) -> list[str]:
    """What the page of an order says of the mail about it, without the times."""
    items = re.findall(r'<ul class="mails".*?</ul>', page, re.DOTALL)
    lines = re.findall(r"<li>(.*?)</li>", "".join(items), re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", line.split("<time")[0]).split()) for line in lines]


def test_an_order_shows_what_became_of_its_mail(sandbox: Sandbox, site: str, browser: requests.Session) -> None:
    page = submit(browser, f"{site}/order/", first_name="Robin", email="customer@example.com", bags_1="2")
    other = submit(browser, f"{site}/order/", first_name="Ada", email="ada@example.com", bags_1="1")
    [number] = re.findall(r"We have your order (FH-\d+)", page.text)
    assert mail_on_page(page.text) == [
        f"Your receipt for order {number} sent ·",
        f"Your invoice for order {number} sent ·",
    ]
    assert number not in other.text


def test_an_order_says_that_its_receipt_is_late(
    sandbox: Sandbox, site: str, browser: requests.Session, variables: dict[str, str]
) -> None:
    page = submit(browser, f"{site}/order/", first_name="Robin", email="customer@example.com", bags_1="2")
    script = """
from django_migma.models import Delivery
Delivery.objects.filter(subject__startswith="Your receipt").update(status="{status}")
"""
    [number] = re.findall(r"We have your order (FH-\d+)", page.text)
    said = []
    for status in ("delivered", "bounced", "failed", "unknown"):
        assert run("manage.py", "shell", "-v0", "-c", script.format(status=status), **variables).returncode == 0
        said.append(mail_on_page(browser.get(page.url, timeout=60).text)[0].rpartition(f"{number} ")[2])
    assert said == [
        "delivered ·",
        "refused by your mail server: is the address right? ·",
        "not sent yet: we are looking into it ·",
        "perhaps sent: we are looking into it ·",
    ]


def test_a_queued_receipt_is_on_its_way(sandbox: Sandbox, variables: dict[str, str]) -> None:
    script = """
from django.test import Client
client = Client(SERVER_NAME="127.0.0.1")
fields = {"first_name": "Robin", "email": "customer@example.com", "bags_1": 1}
print(client.post("/order/", fields, follow=True).content.decode())
"""
    done = run("manage.py", "shell", "-v0", "-c", script, **variables, MIGMA_QUEUE="1")
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" order ")[2].split(" ", 1)[1] for line in mail_on_page(done.stdout)] == [
        "on its way ·",
        "sent ·",
    ]


def test_the_documented_command_sends_the_coffee_letter_once(sandbox: Sandbox, variables: dict[str, str]) -> None:
    """The line of the example's README, run twice; only the question needs a terminal."""
    [line] = re.findall(r"python (manage\.py migma_send_batch .+)", (EXAMPLE / "README.rst").read_text())
    done, again = (run(*shlex.split(line), "--yes", "--key=letter-5", "--no-wait", **variables) for _ in range(2))
    assert done.returncode == again.returncode == 0, done.stderr + again.stderr
    assert "To       tag 'Coffee letter': 248 people" in done.stdout
    assert "Missing" not in done.stdout
    assert "It goes out once" in again.stdout
    [letter] = sandbox.store.messages()
    assert (letter.body["emailId"], letter.body["variables"]) == (
        account.SERIES_2,
        {"shop_url": "http://127.0.0.1:8000/order/"},
    )
