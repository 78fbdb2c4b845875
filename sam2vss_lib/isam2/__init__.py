"""I-SAM2: features pooled per masklet (Eq. 3), classified and painted."""
