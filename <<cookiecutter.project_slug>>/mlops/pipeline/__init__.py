"""Pipeline definitions: interpretation, validation, and submission to SageMaker."""
