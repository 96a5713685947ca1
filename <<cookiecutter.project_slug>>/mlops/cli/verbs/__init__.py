"""The verbs of `python -m mlops`, one module each.

A module describes its verb in its docstring, and offers `add_arguments(parser)` and `run(target, options)`, which
returns the exit status. `NEEDS` names the capabilities (`mlops.project.capabilities`) without which the verb does not
apply to a project.
"""
