"""What the data looked like when a model was trained, in the formats of SageMaker Model Monitor."""
