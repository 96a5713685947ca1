"""The project: its answers, its configuration, and the names and places derived from them."""
