"""The verbs of `python -m mlops`, a module each.

A verb is found by its presence here. Its module says what it does in its docstring and offers two functions:
`add_arguments(parser)` and `run(project, options) -> exit status`.
"""
