"""The local run: an interpreter of compiled pipeline definitions that needs no AWS account, Docker or network."""
