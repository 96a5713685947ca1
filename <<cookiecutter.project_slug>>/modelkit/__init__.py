"""What travels with a model: runs inside jobs, and lies in each archive. It imports nothing of `mlops`."""
