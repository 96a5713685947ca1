"""Windows of captured traffic, compared with the training data of the version that served them."""
