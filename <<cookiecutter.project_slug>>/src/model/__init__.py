"""The model: its data schema and the step scripts that validate, prepare, train, evaluate and serve it."""
