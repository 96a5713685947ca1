"""Object storage: S3, or a local folder with the same layout."""
