"""A project's place in an account: what config/dev.yaml says of it."""

from standin.account import ACCOUNT, REGION

BUCKET = "visits-bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
DATA_KEY, MODEL_KEY = (f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}" for name in ("data", "model"))
PLACE = {"bucket": BUCKET, "pipeline_role": ROLE, "data_key": DATA_KEY, "model_key": MODEL_KEY}
