"""Sends the real mail of other packages through a real sandbox, each from a site of its own.

``make apps`` runs it, in an environment of its own. It is no part of ``tests``, for two reasons. The packages bring
many others, which may not fit what the tests need. And one process has one set of settings, so each site needs a
process of its own.
"""
