"""Training of the embedded base models on generated clips."""
