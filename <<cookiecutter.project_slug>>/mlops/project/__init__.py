"""What this project is: its answers, its configuration, and the names and places that follow from them."""
