"""The command line of this project, for messages that name a command to run."""

MLOPS = ".venv/bin/python -m mlops"
"""Runs a verb from the project's folder: `{MLOPS} deploy --environment dev`."""
