"""The benchmark behind ``make bench-queue``: the queue beside those of other packages, on SQLite and PostgreSQL.

`__main__` conducts. `scenarios` says what is measured, `measurements` how, `report` what was aimed at. Every site,
worker and server is a process of its own; `settings`, `client` and `tasks` are what runs in a site's processes.
"""
