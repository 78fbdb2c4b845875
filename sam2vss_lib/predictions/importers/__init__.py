"""Readers of other systems' predictions on disk."""
