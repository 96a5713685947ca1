"""Endpoints that serve models, on this machine and in SageMaker."""
