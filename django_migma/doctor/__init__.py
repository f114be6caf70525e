"""Whether a site is set up to send mail through Migma: the engine of ``manage.py migma_doctor``."""

from .checkup import run_checkup
from .probe import Finding

__all__ = ["Finding", "run_checkup"]
