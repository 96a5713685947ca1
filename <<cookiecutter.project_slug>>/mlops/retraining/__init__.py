"""When to train again: the rules every trigger goes through, on this machine and in AWS."""
