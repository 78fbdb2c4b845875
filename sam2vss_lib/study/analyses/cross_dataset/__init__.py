"""Table 2: another data set with no setting changed."""

from sam2vss_lib.study.analyses.cross_dataset.transfer import (
    data_name,
    first_results,
    gains_by_data,
    transfer_reading,
    transfer_table,
)
from sam2vss_lib.study.analyses.cross_dataset.transfer_figures import (
    TRANSFER_ALT,
    TRANSFER_CAPTION,
    figure_transfer,
)
from sam2vss_lib.study.analyses.cross_dataset.vote_flips import (
    flipped_votes,
    flips_reading,
    flips_table,
)

__all__ = [
    "TRANSFER_ALT",
    "TRANSFER_CAPTION",
    "data_name",
    "figure_transfer",
    "first_results",
    "flipped_votes",
    "flips_reading",
    "flips_table",
    "gains_by_data",
    "transfer_reading",
    "transfer_table",
]
