"""Windows of captured traffic, compared with the data that a version was trained on."""
