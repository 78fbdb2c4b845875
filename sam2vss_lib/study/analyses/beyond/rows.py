"""Rules beside each other: their metrics, gains over the window vote, and clips that they harm."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sam2vss_lib.fusion.comparison import WINDOW_VOTE
from sam2vss_lib.metrics import Gain, MetricSuite, mean_paired_gain
from sam2vss_lib.study.analyses.beyond.study import ADAPTIVE, BASE, LEARNED, BeyondStudy
from sam2vss_lib.study.results.schema import Claim, Row
from sam2vss_lib.study.results.tables import table_metrics
from sam2vss_lib.study.results.wording import judge
from sam2vss_lib.study.settings import StudySettings

HARM_POINTS = 0.2  # a clip that loses more mIoU over the window vote counts as harmed
_STAGES = {"frame": "frame vote", "soft": "soft vote"}
ENSEMBLE = "ensemble vote"
ALL_SYSTEMS = "mean of base models"


class Ruled(NamedTuple):
    """What a rule made of the predictions of one base system, or of other data."""

    rule: str
    over: str  # the base system, or the data
    suite: MetricSuite
    window_vote: MetricSuite  # on the same predictions


def ruled_rows(study: BeyondStudy) -> list[Ruled]:
    """All rules on all base systems that can be run here."""
    found: list[Ruled] = []
    for system in study.systems:
        suites = study.weighed(system)
        window = suites[WINDOW_VOTE]
        suites |= study.weighed_filled(system)
        for vote, title in _STAGES.items():
            suites[title] = study.evaluated(study.refined(system, vote)).suite
        if others := [one for one in study.systems if one != system]:
            made = study.refined(system, "ensemble", others=others)
            suites[ENSEMBLE] = study.evaluated(made).suite
        found += [Ruled(rule, system.label, suite, window) for rule, suite in suites.items()]
    return found


def other_rows(study: BeyondStudy) -> list[Ruled]:
    """The rules on other data."""
    return [
        Ruled(rule, other.label, suite, suites[WINDOW_VOTE])
        for other in study.beyond.other_data
        for suites in (study.weighed_on(other),)
        for rule, suite in suites.items()
    ]


def mean_gains(rows: Sequence[Ruled], settings: StudySettings) -> dict[str, dict[str, Gain]]:
    """Gains of every rule over the window vote, averaged over base models, by rule and metric.

    Intervals are over clips, which are drawn for all base models at once.
    """
    draws = {"samples": settings.bootstrap_samples, "seed": settings.seed}
    return {
        rule: mean_paired_gain(
            [(row.window_vote, row.suite) for row in rows if row.rule == rule], **draws
        )
        for rule in dict.fromkeys(row.rule for row in rows)
        if rule != WINDOW_VOTE
    }


def harmed(rows: Sequence[Ruled], rule: str) -> tuple[int, int]:
    """Pairs of a clip and a base model that lose more than `HARM_POINTS` of mIoU, and all pairs."""
    lost = [
        after - before
        for row in rows
        if row.rule == rule
        for before, after in zip(_by_clip(row.window_vote), _by_clip(row.suite), strict=True)
        if before is not None and after is not None
    ]
    return sum(points < -HARM_POINTS for points in lost), len(lost)


def _by_clip(suite: MetricSuite) -> list[float | None]:
    return [line["mIoU"] for line in suite.compute(samples=1).per_clip]  # pyright: ignore


def mean_values(suites: Sequence[MetricSuite]) -> dict[str, float]:
    """The metrics, and vc_eq4 over eight frames, averaged over suites."""
    found: list[dict[str, float]] = []
    for suite in suites:
        result = suite.compute(samples=1)
        values = {m: result.metrics[m] for m in table_metrics()}
        values["vc_eq4"] = result.variants["mVC8"]["vc_eq4"]
        found.append({m: float("nan") if v is None else v for m, v in values.items()})
    return {m: float(np.mean([one[m] for one in found])) for m in found[0]}


def result_rows(
    rows: Sequence[Ruled], gains: Mapping[str, Mapping[str, Gain]], status: str
) -> list[Row]:
    """A row of every rule for `result.json` and `table.csv`: means of base models, and gains."""
    found: list[Row] = []
    for rule in dict.fromkeys(row.rule for row in rows):
        values = mean_values([row.suite for row in rows if row.rule == rule])
        ours = {metric: None if np.isnan(value) else value for metric, value in values.items()}
        printed: dict[str, float | None] = dict.fromkeys(ours)
        found.append(
            Row(
                method=rule,
                backbone=ALL_SYSTEMS,
                status=status,
                ours=ours,
                paper=printed,
                paper_gains=printed,
                gains=dict(gains.get(rule, {})),
            )
        )
    return found


def claims(gains: Mapping[str, Mapping[str, Gain]]) -> list[Claim]:
    """One verdict for every idea and metric, over the window vote."""
    return [
        judge(f"the {rule} raises {metric}", of[metric], "raises")
        for rule, of in gains.items()
        if rule != BASE
        for metric in ("mIoU", "mBIoU", "mVC8")
    ]


def reading(rows: Sequence[Ruled], gains: Mapping[str, Mapping[str, Gain]]) -> str:
    """Our reading in a few sentences, from the numbers alone."""
    points = {rule: of["mIoU"].gain or 0.0 for rule, of in gains.items() if rule != BASE}
    if not points:
        return "No base system could be run."
    best = max(points, key=lambda rule: points[rule])
    said = [f"The {best} gains most mIoU over the window vote ({points[best]:+.2f})."]
    for rule in (ADAPTIVE, LEARNED):
        if rule in gains:
            worse, pairs = harmed(rows, rule)
            said.append(
                f"The {rule}: mIoU {with_interval(gains[rule]['mIoU'])}, mBIoU "
                f"{with_interval(gains[rule]['mBIoU'])}, mVC8 "
                f"{with_interval(gains[rule]['mVC8'])}; {worse} of {pairs} pairs of a clip and a "
                f"base model lose more than {HARM_POINTS} mIoU."
            )
    return " ".join(said)


def result_values(
    study: BeyondStudy,
    rows: Sequence[Ruled],
    gains: Mapping[str, Mapping[str, Gain]],
    claims: Sequence[Claim],
    caption: str,
    reading: str,
) -> dict[str, Any]:
    """The values for `result.json`; no table of the paper is like this one."""
    return {
        "caption": caption,
        "comparable_with_paper": False,
        "rows": [row.model_dump() for row in result_rows(rows, gains, study.status)],
        "claims": [claim.model_dump(exclude_unset=True) for claim in claims],
        "reading": reading,
    }


def with_interval(gain: Gain) -> str:
    """A gain in points with its interval."""
    if gain.gain is None:
        return "–"
    interval = (
        "" if gain.low is None or gain.high is None else f" [{gain.low:+.2f}, {gain.high:+.2f}]"
    )
    return f"{gain.gain:+.2f}{interval}"
