"""The names of the environments."""

LOCAL = "local"
"""This machine."""

SHARED = "dev"
"""The environment with the resources that all environments share."""

STAGING, PRODUCTION = "staging", "production"
ENVIRONMENTS = (STAGING, PRODUCTION)
"""The environments that versions are deployed to."""
