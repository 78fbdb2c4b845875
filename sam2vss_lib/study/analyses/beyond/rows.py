"""Rules beside each other: their metrics, gains over the window vote, and clips that they harm."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sam2vss_lib.fusion.comparison import WINDOW_VOTE
from sam2vss_lib.metrics import Gain, MetricSuite, mean_paired_gain, paired_gain
from sam2vss_lib.refinement.trust import reason
from sam2vss_lib.storage.records import facts_of
from sam2vss_lib.study.analyses.beyond.study import ADAPTIVE, BASE, LEARNED, BeyondStudy
from sam2vss_lib.study.results.schema import Claim, Row
from sam2vss_lib.study.results.style import BETTER, NEUTRAL, WORSE
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


def rules_table(rows: Sequence[Ruled], gains: Mapping[str, Mapping[str, Gain]]) -> pd.DataFrame:
    """Text: of every rule the metrics, means of base models, gains with intervals, and harm."""
    lines: list[dict[str, str]] = []
    for rule in dict.fromkeys(row.rule for row in rows):
        values = _mean_values([row.suite for row in rows if row.rule == rule])
        line = {"rule": rule, **{metric: f"{value:.2f}" for metric, value in values.items()}}
        for metric in ("mIoU", "mBIoU", "mVC8"):
            gain = gains.get(rule, {}).get(metric)
            line[f"{metric} gained"] = "" if gain is None else _with_interval(gain)
        worse, pairs = harmed(rows, rule)
        line["harmed"] = "" if rule == WINDOW_VOTE else f"{worse} of {pairs}"
        lines.append(line)
    return pd.DataFrame(lines)


def others_table(rows: Sequence[Ruled], settings: StudySettings) -> pd.DataFrame:
    """Text: on every other data set, what each rule gains over the window vote there."""
    lines: list[dict[str, str]] = []
    for row in rows:
        values = _mean_values([row.suite])
        line = {"data": row.over, "rule": row.rule}
        line |= {metric: f"{value:.2f}" for metric, value in values.items()}
        if row.rule != WINDOW_VOTE:
            draws = {"samples": settings.bootstrap_samples, "seed": settings.seed}
            gain = paired_gain(row.window_vote, row.suite, **draws)
            line["mIoU gained"] = _with_interval(gain["mIoU"])
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def _mean_values(suites: Sequence[MetricSuite]) -> dict[str, float]:
    """The metrics, and vc_eq4 over eight frames, averaged over suites."""
    found: list[dict[str, float]] = []
    for suite in suites:
        result = suite.compute(samples=1)
        values = {m: result.metrics[m] for m in table_metrics()}
        values["vc_eq4"] = result.variants["mVC8"]["vc_eq4"]
        found.append({m: float("nan") if v is None else v for m, v in values.items()})
    return {m: float(np.mean([one[m] for one in found])) for m in found[0]}


def _with_interval(gain: Gain) -> str:
    if gain.gain is None:
        return "–"
    interval = (
        "" if gain.low is None or gain.high is None else f" [{gain.low:+.2f}, {gain.high:+.2f}]"
    )
    return f"{gain.gain:+.2f}{interval}"


def result_rows(
    rows: Sequence[Ruled], gains: Mapping[str, Mapping[str, Gain]], status: str
) -> list[Row]:
    """A row of every rule for `result.json` and `table.csv`: means of base models, and gains."""
    found: list[Row] = []
    for rule in dict.fromkeys(row.rule for row in rows):
        values = _mean_values([row.suite for row in rows if row.rule == rule])
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
                f"The {rule}: mIoU {_with_interval(gains[rule]['mIoU'])}, mBIoU "
                f"{_with_interval(gains[rule]['mBIoU'])}, mVC8 "
                f"{_with_interval(gains[rule]['mVC8'])}; {worse} of {pairs} pairs of a clip and a "
                f"base model lose more than {HARM_POINTS} mIoU."
            )
    return " ".join(said)


def figure_gains(gains: Mapping[str, Mapping[str, Gain]]) -> Figure:
    """One panel a metric: the gain of every rule over the window vote, with its interval."""
    rules = [rule for rule in gains if rule != BASE]
    metrics = ("mIoU", "mBIoU", "mVC8")
    figure = Figure(figsize=(7.2, 0.28 * len(rules) + 1.0), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True)
    for axis, metric in zip(panels, metrics, strict=True):
        axis.axvline(0, color=NEUTRAL, linewidth=0.8)
        for place, rule in enumerate(rules):
            gain = gains[rule][metric]
            if gain.gain is None:
                continue
            colour = NEUTRAL
            if gain.low is not None and gain.high is not None:
                colour = BETTER if gain.low > 0 else WORSE if gain.high < 0 else NEUTRAL
                axis.hlines(place, gain.low, gain.high, color=colour, linewidth=1.5)
            axis.plot([gain.gain], [place], marker="o", markersize=4, color=colour)
        axis.set_title(metric, fontsize=9)
        axis.set_xlabel("points over the window vote", fontsize=7)
        axis.tick_params(labelsize=7)
        axis.grid(axis="x", linewidth=0.3)
    panels[0].set_yticks(range(len(rules)), rules)
    panels[0].invert_yaxis()
    return figure


def coverage_table(study: BeyondStudy) -> pd.DataFrame:
    """Text: what the grid's masklets and the filled ones leave bare, and objects followed."""
    stores = {"grid": study.masklets, "filled": study.filled}
    found = {name: study.covered(store) for name, store in stores.items()}
    return pd.DataFrame(
        [
            {
                "masklets": name,
                "pixels under none": f"{values['uncovered']:.2%}",
                "objects followed on a frame": f"{values['objects a frame']:.2f}",
            }
            for name, values in found.items()
        ]
    )


def gate_table(study: BeyondStudy) -> pd.DataFrame:
    """Text: for every base system, on how many clips masklets were not trusted, and on which."""
    lines: list[dict[str, str]] = []
    for system in study.systems:
        refined = study.refined(system, "adaptive").folder
        facts = {clip.name: facts_of(refined.root / clip.name) for clip in study.dataset}
        bad = {name: of for name, of in facts.items() if not of["trusted"]}
        said = "; ".join(f"{name}: {reason(of)}" for name, of in bad.items())
        line = {"base system": system.label, "clips": str(len(facts)), "not trusted": str(len(bad))}
        lines.append({**line, "because": said or "–"})
    return pd.DataFrame(lines)


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
