"""The machinery of this project: it compiles, runs, registers, serves, monitors and deploys.

The template owns this package: an upgrade replaces it. Your own code is in `src/model`, `pipelines` and `config`.
"""
