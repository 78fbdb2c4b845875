"""Tables 4 to 7: differences to the default, the paper's statements, and what is drawn."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from sam2vss_lib.metrics import Gain, paired_gain
from sam2vss_lib.study.analyses.ablations.rows import (
    ABLATIONS,
    UNREFINED,
    ablation_claims,
    difference_frame,
    figure_differences,
    figure_masklets,
    printed,
)
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.tables import rows_not_run, table_row
from sam2vss_lib.study.results.wording import judge
from tests.study.rows import evaluated


def study(sweep: str, values: tuple[float, ...]) -> Any:
    return SimpleNamespace(
        settings=SimpleNamespace(
            sweep=sweep, sweep_values=values, bootstrap_samples=200, seed=0, votes=("frame",)
        )
    )


def window_rows() -> list[Row]:
    """Windows 1 and 32 on made-up predictions, the shorter one worse."""
    short, default = evaluated(0.2), evaluated(0.1, seed=1)
    gains = paired_gain(default.suite, short.suite, samples=200)
    rows = [
        table_row(4, UNREFINED, "", "run", evaluated=evaluated(0.3, seed=2)),
        table_row(4, "1", "", "run", ("32", ""), short, gains),
        table_row(4, "32", "", "run", evaluated=default),
    ]
    return rows + rows_not_run(4, rows, "not varied to {row}")


def test_values_are_named_as_the_paper_prints_them():
    names = {
        4: [printed("window", v) for v in (1, 2, 4, 8, 10, 16, 32)],
        5: [printed("points_per_side", v) for v in (8, 16, 32, 64)],
        6: [printed("pred_iou_thresh", v) for v in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)],
        7: [printed("stability_score_thresh", v) for v in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)],
    }
    for ablation in ABLATIONS.values():
        assert names[ablation.table] == [row for row, _ in paper_rows(ablation.table)]


def test_differences_are_ours_with_intervals_and_the_papers():
    frame = difference_frame(window_rows()).set_index(["setting", "metric", "source"])
    ours = frame.loc[("1", "mVC8", "ours")]
    assert ours["low"] <= ours["difference"] <= ours["high"] < 0
    assert frame.loc[("1", "mVC8", "paper"), "difference"] == -1.2  # 88.2 - 89.4
    assert frame.loc[("32", "mVC8", "ours"), "difference"] == 0
    assert ("1", "mBIoU", "paper") not in frame.index  # the paper prints none
    assert ("2", "mVC8", "ours") not in frame.index  # not run
    assert UNREFINED not in frame.index.get_level_values("setting")


def test_claims_follow_the_sweep():
    claims = ablation_claims(study("window", (1, 32)), window_rows())
    verdicts = {claim.statement: claim.verdict for claim in claims}
    text = "Window (frames): going from 1 to 32 "
    assert verdicts[text + "raises mVC8"] == verdicts[text + "raises mVC16"] == "holds"
    assert verdicts[text + "hardly changes mIoU"] == "does not hold"


def test_claims_about_values_that_were_not_run_are_left_out():
    assert ablation_claims(study("window", (1, 2)), window_rows()) == []


@pytest.mark.parametrize(
    ("direction", "gain", "verdict"),
    [
        ("hardly changes", (0.1, -0.4, 0.5), "holds"),
        ("hardly changes", (0.1, -0.4, 0.6), "undecided"),
        ("hardly changes", (0.9, 0.6, 1.2), "does not hold"),
        ("lowers", (-0.9, -1.2, -0.1), "holds"),
        ("lowers", (0.9, 0.1, 1.2), "does not hold"),
        ("lowers", (-0.1, -0.5, 0.5), "undecided"),
    ],
)
def test_verdicts(direction: Any, gain: tuple[float, float, float], verdict: str):
    assert judge("x", Gain(*gain, 4), direction).verdict == verdict


def test_figures_have_a_panel_per_metric_and_one_for_each_fact():
    figure = figure_differences(difference_frame(window_rows()), "Window (frames)")
    assert [axis.get_title() for axis in figure.axes] == [
        "mIoU", "FWIoU", "mBIoU", "mVC8", "mVC16",
    ]  # fmt: skip
    facts = pd.DataFrame(
        {"setting": ["1", "32"], "masklets_per_frame": [9, 8], "coverage": [0.9, 0.8]}
    )
    assert len(figure_masklets(facts, "Window (frames)").axes) == 2
