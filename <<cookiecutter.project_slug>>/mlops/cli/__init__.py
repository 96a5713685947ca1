"""The command line: the verbs of `python -m mlops`, progress output and prompts."""
