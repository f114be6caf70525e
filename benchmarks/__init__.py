"""The benchmark behind ``make bench``: django-migma beside what one would use instead, over loopback.

Three kinds of process: this one, which only conducts; a server for each scenario (`serving`); and a fresh Python for
every single measurement (`client`, `startup`).
"""
