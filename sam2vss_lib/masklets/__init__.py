"""Masklets: SAM2, its proposals on a window's first frame, and their propagation; no classes."""
