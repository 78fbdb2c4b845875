"""Base models: class labels of the frames of a clip, which the masklets refine."""
