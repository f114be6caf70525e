"""The signals, sent in the thread that called ``send_messages``, and their arguments.

``pre_send(sender, message, alias)``
    Before a message is looked at. A receiver may change the message, or raise `CancelSend` to drop it. Any other
    exception stops the call and reaches the caller.

``post_send(sender, message, status, alias)``
    After every message for which ``pre_send`` was sent and not cancelled, whatever became of it; not for those that a
    stopped call never came to. ``status`` is its ``migma_status``. Sent robustly: a receiver's exception is logged by
    Django and hides no mail that has gone out.

``batch_finished(sender, messages_sent, alias)``
    At the end of a ``send_messages`` call. ``messages_sent`` is its return value. Sent robustly.

``sender`` is the backend's class; ``alias`` the key of ``MAILERS``, or None where a site has none.
"""

from django.dispatch import Signal


class CancelSend(Exception):
    """Raised by a receiver of `pre_send`: this message is not sent, and that is no failure."""


pre_send = Signal()
post_send = Signal()
batch_finished = Signal()
