"""The computations that notebooks share, kept on disk under what made them."""
