"""Limits that several packages share."""

MAX_CONCURRENCY = 1000
"""The maximum number of concurrent requests of one process to an endpoint."""
