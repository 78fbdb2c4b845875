"""Table 3: masklets classified by their own features."""

from sam2vss_lib.study.analyses.independent_sam2.consistency import (
    consistencies,
    consistency_reading,
    consistency_table,
)
from sam2vss_lib.study.analyses.independent_sam2.figures import (
    PARTS_ALT,
    PARTS_CAPTION,
    figure_parts,
    over_base,
)
from sam2vss_lib.study.analyses.independent_sam2.rows import (
    TABLE,
    encoder_runs,
    independent_claims,
    independent_rows,
)
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.analyses.independent_sam2.tables import (
    bound_table,
    reading,
    seeds_frame,
    seeds_table,
    training_table,
    uncovered_percent,
)

__all__ = [
    "PARTS_ALT",
    "PARTS_CAPTION",
    "TABLE",
    "IndependentStudy",
    "bound_table",
    "consistencies",
    "consistency_reading",
    "consistency_table",
    "encoder_runs",
    "figure_parts",
    "independent_claims",
    "independent_rows",
    "over_base",
    "reading",
    "seeds_frame",
    "seeds_table",
    "training_table",
    "uncovered_percent",
]
