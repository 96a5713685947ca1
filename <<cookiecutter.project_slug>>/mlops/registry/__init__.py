"""Registered versions of the model: approval, promotion, archives."""
