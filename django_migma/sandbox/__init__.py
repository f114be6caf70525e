"""A local Migma: the API's endpoints on a loopback port; nothing leaves the machine.

It is built from what is publicly known of Migma's API (its OpenAPI excerpts and Node SDK, mid 2026), not from
what this package's client sends, so that it can judge the client. Django and the standard library only; it needs
neither settings nor a database.

``server.Sandbox`` runs it inside Python, ``python -m django_migma.sandbox`` from a shell.
"""
