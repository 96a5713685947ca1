"""A project's place in an account: what config/dev.yaml says of it."""

from standin.account import ACCOUNT

BUCKET = "visits-bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
