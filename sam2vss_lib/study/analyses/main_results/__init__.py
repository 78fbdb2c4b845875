"""Table 1 and Figure 3: SAM2 as a refiner."""

from sam2vss_lib.study.analyses.main_results.boundary_accuracy import (
    accuracy_by_distance,
    boundary_reading,
)
from sam2vss_lib.study.analyses.main_results.boundary_figures import (
    BOUNDARY_ALT,
    BOUNDARY_CAPTION,
    figure_boundary,
)
from sam2vss_lib.study.analyses.main_results.rows import refinement_rows
from sam2vss_lib.study.analyses.main_results.temporal_heads import temporal_gains, temporal_reading

__all__ = [
    "BOUNDARY_ALT",
    "BOUNDARY_CAPTION",
    "accuracy_by_distance",
    "boundary_reading",
    "figure_boundary",
    "refinement_rows",
    "temporal_gains",
    "temporal_reading",
]
