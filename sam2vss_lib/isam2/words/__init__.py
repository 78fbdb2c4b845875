"""Masklets get their class from words: an image-text model compares them with phrases."""
