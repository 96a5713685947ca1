"""Predictions for whole files, piece by piece: memory stays bounded however large they are."""
