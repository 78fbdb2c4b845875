"""Stock sam2 calls alone: the oracle of the batched engine."""
