"""Training of the demo image-text model on captions of generated clips."""
