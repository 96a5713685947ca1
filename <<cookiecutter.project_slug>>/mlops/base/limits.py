"""Limits that several rooms keep."""

MAX_CONCURRENCY = 1000
"""The most requests that one process has in flight to an endpoint."""
