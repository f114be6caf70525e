"""Is it set up? What `manage.py migma_doctor` finds out, item by item."""

from .examination import examine
from .items import Item

__all__ = ["Item", "examine"]
