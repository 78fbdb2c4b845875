"""The fast masklet engine: sam2's own modules and weights, called for many objects at once."""
