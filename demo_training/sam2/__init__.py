"""Training of the embedded SAM2 on generated clips."""
