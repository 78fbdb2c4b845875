"""Rules beside each other as tables to read, and as a figure."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from sam2vss_lib.fusion.comparison import WINDOW_VOTE
from sam2vss_lib.metrics import Gain, paired_gain
from sam2vss_lib.refinement.trust import reason
from sam2vss_lib.storage.records import facts_of
from sam2vss_lib.study.analyses.beyond.rows import Ruled, harmed, mean_values, with_interval
from sam2vss_lib.study.analyses.beyond.study import BASE, BeyondStudy
from sam2vss_lib.study.results.style import BETTER, NEUTRAL, WORSE
from sam2vss_lib.study.settings import StudySettings


def rules_table(rows: Sequence[Ruled], gains: Mapping[str, Mapping[str, Gain]]) -> pd.DataFrame:
    """Text: of every rule the metrics, means of base models, gains with intervals, and harm."""
    lines: list[dict[str, str]] = []
    for rule in dict.fromkeys(row.rule for row in rows):
        values = mean_values([row.suite for row in rows if row.rule == rule])
        line = {"rule": rule, **{metric: f"{value:.2f}" for metric, value in values.items()}}
        for metric in ("mIoU", "mBIoU", "mVC8"):
            gain = gains.get(rule, {}).get(metric)
            line[f"{metric} gained"] = "" if gain is None else with_interval(gain)
        worse, pairs = harmed(rows, rule)
        line["harmed"] = "" if rule == WINDOW_VOTE else f"{worse} of {pairs}"
        lines.append(line)
    return pd.DataFrame(lines)


def others_table(rows: Sequence[Ruled], settings: StudySettings) -> pd.DataFrame:
    """Text: on every other data set, what each rule gains over the window vote there."""
    lines: list[dict[str, str]] = []
    for row in rows:
        values = mean_values([row.suite])
        line = {"data": row.over, "rule": row.rule}
        line |= {metric: f"{value:.2f}" for metric, value in values.items()}
        if row.rule != WINDOW_VOTE:
            draws = {"samples": settings.bootstrap_samples, "seed": settings.seed}
            gain = paired_gain(row.window_vote, row.suite, **draws)
            line["mIoU gained"] = with_interval(gain["mIoU"])
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


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
