"""Objects in S3, or in the folder that stands in for it."""
