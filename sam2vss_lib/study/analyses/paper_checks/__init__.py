"""The paper held against itself: its printed numbers against each other and against its text.

Every value is computed from `data_manifests/paper_tables.csv`; what the text claims is quoted with
its section. A difference of 0.1 is the smallest that the tables can show, and is named as such.
"""

from sam2vss_lib.study.analyses.paper_checks.ablations import ablation_checks, best_settings
from sam2vss_lib.study.analyses.paper_checks.cells import cell_checks
from sam2vss_lib.study.analyses.paper_checks.figures import (
    ABLATION_WORDS,
    BOUNDARY_WORDS,
    ablation_figure,
    boundary_figure,
)
from sam2vss_lib.study.analyses.paper_checks.refiner import refiner_checks
from sam2vss_lib.study.analyses.paper_checks.results import (
    PaperStudy,
    checks_frame,
    reading,
    result_values,
)
from sam2vss_lib.study.analyses.paper_checks.segmentor import segmentor_checks
from sam2vss_lib.study.results.schema import Claim

__all__ = [
    "ABLATION_WORDS",
    "BOUNDARY_WORDS",
    "PaperStudy",
    "ablation_figure",
    "best_settings",
    "boundary_figure",
    "checks_frame",
    "reading",
    "result_values",
    "run_checks",
]


def run_checks() -> list[Claim]:
    """All checks, in the order of the paper's tables."""
    return [*cell_checks(), *refiner_checks(), *ablation_checks(), *segmentor_checks()]
