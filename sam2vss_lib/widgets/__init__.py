"""Exploring a study in a notebook: what SAM2 changes on a frame, and why."""

from sam2vss_lib.widgets.notebook import explore

__all__ = ["explore"]
