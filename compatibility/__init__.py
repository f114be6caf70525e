"""Sends the real mail of other packages through a real sandbox, each from a site of its own.

``make apps`` runs it. It stands beside ``tests`` and not in it, since its packages, which are many and each of which
brings others, would decide what the tests of this package can be installed with, and since the sites exclude each
other: one process has one set of settings.
"""
