"""The command line of this project, for messages that name a command to run."""

MLOPS = ".venv/bin/python -m mlops"
"""The command that runs a verb in the project's folder: `{MLOPS} deploy --environment dev`."""
