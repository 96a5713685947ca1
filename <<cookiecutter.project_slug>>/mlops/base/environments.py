"""The names of the environments."""

LOCAL = "local"
"""This machine."""

SHARED = "dev"
"""The environment that holds what all environments share."""

STAGING, PRODUCTION = "staging", "production"
ENVIRONMENTS = (STAGING, PRODUCTION)
"""Where versions are deployed to."""
