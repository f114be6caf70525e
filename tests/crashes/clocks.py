"""The clock of a worker that comes later."""

from django_migma.api.retries import Clock


class Later(Clock):
    """An hour later than the machine's: leases have run out."""

    def time(self) -> float:
        """Seconds since 1970."""
        return super().time() + 3600
