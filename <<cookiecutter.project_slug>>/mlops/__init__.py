"""The machinery of this project: compile, validate, run, register, approve, invoke and upsert.

The template owns this package: an upgrade replaces it. What is yours stands in `src/model`, `pipelines` and `config`.
"""
