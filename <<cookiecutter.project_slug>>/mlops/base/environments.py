"""The names of the environments."""

LOCAL = "local"
"""This machine."""

SHARED = "dev"
"""The environment with the resources that all environments share."""

STAGING, PRODUCTION = "staging", "production"
ENVIRONMENTS = (STAGING, PRODUCTION)
"""The environments that versions are deployed to."""

IN_AWS = (SHARED, *ENVIRONMENTS)
ALL = (LOCAL, *IN_AWS)
"""All environments of the template; a project may add others, for training."""
