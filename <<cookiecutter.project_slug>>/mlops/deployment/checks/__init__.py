"""The checks that `deploy` and `doctor` make: read-only functions that yield findings, one module per subject."""
