"""The same with Django's own test cases. Run ``python manage.py test``."""

from django.test import TestCase

from config.sandbox import STORED_EMAILS
from django_migma import testing

ADA = {"first_name": "Ada", "email": "ada@example.org"}


class SignUpTests(TestCase):
    """In the outbox: what would be sent, without a network."""

    def setUp(self):
        self.enterContext(testing.stored_emails("welcome"))
        self.outbox = self.enterContext(testing.outbox())

    def test_a_new_customer_gets_the_welcome(self):
        password = "a long enough one"
        fields = {"username": "ada", **ADA, "password1": password, "password2": password}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/sign-up/", fields)
        [mail] = self.outbox[0].migma_mails
        self.assertEqual(mail.recipient, "ada@example.org")
        self.assertEqual(mail.variables["first_name"], "Ada")


class OrderTests(TestCase):
    """In the sandbox: what customers read, and what happens when sending fails."""

    def setUp(self):
        self.enterContext(testing.stored_emails(**STORED_EMAILS))
        self.sandbox = self.enterContext(testing.sandbox())

    def test_a_lost_reply_makes_no_second_receipt(self):
        self.sandbox.fail_next("lost")
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/order/", {**ADA, "bags_1": 2})
        [receipt] = self.sandbox.mails
        self.assertEqual(receipt.attempts, 2)
        self.assertIn("Thank you, Ada", receipt.text)
