"""Send Django's mail through Migma.ai."""

__version__ = "0.1.0"
