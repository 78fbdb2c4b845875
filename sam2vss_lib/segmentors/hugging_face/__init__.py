"""Any model of `transformers` for semantic or universal segmentation as a base model."""
