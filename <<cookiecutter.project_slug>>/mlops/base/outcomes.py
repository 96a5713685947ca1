"""What becomes of something in AWS that is brought up to date."""

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
