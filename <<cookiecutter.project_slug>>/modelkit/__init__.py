"""The code that runs inside jobs and is packed into each model archive. It does not import `mlops`."""
