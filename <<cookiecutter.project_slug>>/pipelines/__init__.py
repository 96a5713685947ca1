"""The SageMaker pipelines of this project, one module each: `build(context)` returns the pipeline."""
