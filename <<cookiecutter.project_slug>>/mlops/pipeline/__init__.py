"""Pipeline definitions: what they say, what is wrong with them, and putting them into SageMaker."""
