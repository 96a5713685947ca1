"""Retraining: the rules for every trigger, on this machine and in AWS."""
