"""Memories of tracked objects: kept, written, and read by attention."""
