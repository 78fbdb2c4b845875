"""Exploring a study in a notebook: what SAM2 changes on a frame, and why."""

from sam2vss_lib.widgets.notebook import explore, explorer_data
from sam2vss_lib.widgets.pictures import clip_view, frame_view
from sam2vss_lib.widgets.render import contact_sheet, default_scene, save

__all__ = [
    "clip_view",
    "contact_sheet",
    "default_scene",
    "explore",
    "explorer_data",
    "frame_view",
    "save",
]
