"""The model: its data, its features and its algorithm."""
