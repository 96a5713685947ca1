"""Compile the pipelines of this project into definitions, without AWS: `python -m mlops.compile`.

Only this package and `pipelines/` import the SageMaker SDK; they run in the development environment.
"""
