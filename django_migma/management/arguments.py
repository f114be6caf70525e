"""Types of the commands' arguments, whose errors say what would be right."""

from __future__ import annotations

from argparse import ArgumentTypeError


def positive_number(text: str) -> int:
    if not text.isdecimal() or (number := int(text)) < 1:
        raise ArgumentTypeError(f"invalid number {text!r}: give a whole number above 0")
    return number


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not number >= 0:  # as of "nan"
        raise ArgumentTypeError(f"invalid time {text!r}: give seconds")
    return number
