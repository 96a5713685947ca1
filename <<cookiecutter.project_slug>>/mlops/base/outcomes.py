"""The outcomes of creating or updating a resource in AWS."""

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
