"""Prompting SAM2 again where no masklet covers, and what becomes of the new masklets."""
