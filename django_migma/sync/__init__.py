"""Sync: a project's finished emails at Migma become rows here, one conversation after the other."""

from .project import projects, sync_project
from .summary import Broken, Change, Summary, explained

__all__ = ["Broken", "Change", "Summary", "explained", "projects", "sync_project"]
