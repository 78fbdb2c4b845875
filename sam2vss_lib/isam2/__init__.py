"""I-SAM2: features pooled per masklet (Eq. 3), classified, painted; holes filled by a base model."""
