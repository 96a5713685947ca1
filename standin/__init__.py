"""A stand-in for AWS on this machine: accounts that stacks are deployed into and that roles are judged in."""
