"""Functions that AWS Lambda runs: each module's `handler`. They import nothing that Lambda's Python does not hold."""
