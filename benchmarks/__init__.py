"""The benchmarks behind ``make bench`` and ``make bench-queue``: django-migma beside its alternatives, over loopback.

`__main__` conducts, `servers` are sent to, and each measurement is made by a `client` process of its own.
"""
