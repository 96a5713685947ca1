"""AWS Lambda functions: the `handler` of each module. They import only what Lambda's Python runtime includes."""
