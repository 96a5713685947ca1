"""Compile the pipelines of this project into definitions, offline: `python -m mlops.compile`.

Only this package and `pipelines/` import the SageMaker SDK. They run in the development environment.
"""
