"""One measurement in a process of its own: ``python -m benchmarks.client``, JSON in, JSON out."""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import Any

import django
from django.conf import settings

from . import memory
from .contenders import Address, django_settings
from .sending import plan


def main() -> None:
    """Warm up, measure, tell."""
    question = json.load(sys.stdin)
    address = Address(**question["address"])
    contender, shape = question["contender"], question["shape"]
    settings.configure(**django_settings(contender, address))
    django.setup()
    if question["warm_up"]:
        plan(contender, shape, question["warm_up"], address)()
    json.dump(measure(contender, shape, question["messages"], question["calls"], address), sys.stdout)


def measure(contender: str, shape: str, messages: int, calls: int, address: Address) -> dict[str, Any]:
    """Send ``messages`` in each of so many calls. CPU is that of this process with all its threads."""
    send = plan(contender, shape, messages, address)
    gc.collect()
    memory.forget_peak()
    resident = memory.peak()
    cpu, began = time.process_time(), time.perf_counter()
    accepted = sum(send() for _ in range(calls))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "memory_growth": max(0, memory.peak() - resident),  # the kernel counts in batches and may seem to go back
        "accepted": accepted,
    }


if __name__ == "__main__":
    main()
