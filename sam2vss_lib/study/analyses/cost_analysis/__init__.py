"""What a frame costs, and what an object adds."""

from sam2vss_lib.study.analyses.cost_analysis.benchmarks import (
    benchmark_frame,
    benchmark_words,
    study_benchmarks,
)
from sam2vss_lib.study.analyses.cost_analysis.figures import figure_objects, figure_parts
from sam2vss_lib.study.analyses.cost_analysis.measurement import time_frame, work_frame
from sam2vss_lib.study.analyses.cost_analysis.results import (
    caption,
    ratio_figures,
    reading,
    result_values,
    study_cost,
)

__all__ = [
    "benchmark_frame",
    "benchmark_words",
    "caption",
    "figure_objects",
    "figure_parts",
    "ratio_figures",
    "reading",
    "result_values",
    "study_benchmarks",
    "study_cost",
    "time_frame",
    "work_frame",
]
