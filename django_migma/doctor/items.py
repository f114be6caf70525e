"""What the doctor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that was looked at.

    ``status``: ``ok``, ``warning``, ``error``, or ``not_checked`` where nothing could be found out. ``text`` says
    what is the case, ``advice`` what to do about it.
    """

    name: str
    status: str
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Item:
    """As it should be."""
    return Item(name=name, status="ok", text=text)


def warning(name: str, text: str, advice: str = "") -> Item:
    """Worth knowing; mail goes out all the same."""
    return Item(name=name, status="warning", text=text, advice=advice)


def error(name: str, text: str, advice: str = "") -> Item:
    """Mail will fail, some of it at least."""
    return Item(name=name, status="error", text=text, advice=advice)


def not_checked(name: str, why: str) -> Item:
    """Nobody knows."""
    return Item(name=name, status="not_checked", text=f"not checked: {why}")
