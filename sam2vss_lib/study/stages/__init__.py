"""The computations that notebooks share, kept on disk under what made them."""

from sam2vss_lib.study.stages.study import Study

__all__ = ["Study"]
