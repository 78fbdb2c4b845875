"""Tables 4-7: window, point grid, confidence, stability."""

from sam2vss_lib.study.analyses.ablations.figures import figure_differences, figure_masklets
from sam2vss_lib.study.analyses.ablations.proposal_frames import (
    frame_kinds,
    kinds_reading,
    kinds_table,
)
from sam2vss_lib.study.analyses.ablations.rows import (
    FIGURE_ALT,
    FIGURE_CAPTION,
    ablation_claims,
    ablation_of,
    ablation_rows,
    difference_frame,
    masklet_facts,
)

__all__ = [
    "FIGURE_ALT",
    "FIGURE_CAPTION",
    "ablation_claims",
    "ablation_of",
    "ablation_rows",
    "difference_frame",
    "figure_differences",
    "figure_masklets",
    "frame_kinds",
    "kinds_reading",
    "kinds_table",
    "masklet_facts",
]
