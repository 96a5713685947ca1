"""Deployed models that answer requests, on this machine and in SageMaker."""
