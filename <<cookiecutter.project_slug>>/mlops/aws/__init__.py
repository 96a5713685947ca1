"""What talks to AWS, with boto3 alone: sessions, the object store, pipelines and the model registry."""
