"""The command line: the verbs, and how they talk to people."""
