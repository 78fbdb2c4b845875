"""Table 2's question: do gains on one data set carry over to another, with no setting changed?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sam2vss_lib.errors import DataError
from sam2vss_lib.refinement.registry import VOTES, rule_of
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.analyses.main_results.rows import refinement_rows
from sam2vss_lib.study.paper import paper_refinements
from sam2vss_lib.study.results.schema import Row, parse_result
from sam2vss_lib.study.results.style import INK, NEUTRAL, SERIES
from sam2vss_lib.study.results.tables import grouped_table, table_row
from sam2vss_lib.study.results.text import interval_text, number_text
from sam2vss_lib.study.settings import StudySettings, load_profile, make_settings
from sam2vss_lib.study.stages import Study

METRICS = ("mIoU", "mBIoU", "mVC8", "mVC16")  # what Table 2 prints
#: profiles whose first data set is that of another profile
_FIRST_PROFILE = {"vipseg": "vspw"}
#: settings that may differ between the two data sets; all others are the refiner's
_OF_THE_DATA = {
    "profile", "dataset", "split", "stray_labels", "max_clips", "base_systems",
    "device", "seed", "bootstrap_samples",
}  # fmt: skip


class FirstResults(NamedTuple):
    """Rows of the first data set, or why there are none."""

    dataset: str  # name of the first data set
    rows: tuple[Row, ...]  # base and refined rows
    source: str  # where the rows come from, in words


def data_name(dataset: str) -> str:
    """What a data set is called in tables: the name of its folder, or of a generated one."""
    return Path(dataset).name


def first_results(study: Study) -> FirstResults:
    """Rows on the data set that the systems come from, refined with the very same settings.

    They are read from notebook 01's result where that was made with these settings; else they are
    computed by the shared stages, where the profile's data and base systems are at hand.
    """
    settings = study.settings
    profile = _FIRST_PROFILE.get(settings.profile, settings.profile)
    results = (PROJECT / settings.stages_dir).parent.with_name(profile)
    found = _kept_result(results / "01_main_results" / "result.json", settings)
    return found or _computed(study, profile)


def _kept_result(path: Path, settings: StudySettings) -> FirstResults | None:
    """Notebook 01's rows; None if there are none or the refiner was set differently."""
    if not path.is_file():
        return None
    result = parse_result(read_json(path), str(path))
    if refiner_settings(result.settings) != refiner_settings(settings.identity()):
        return None
    dataset = data_name(str(result.settings.get("dataset")))
    return FirstResults(dataset, tuple(result.rows), f"{len(result.rows)} rows of notebook 01")


def refiner_settings(identity: dict[str, Any]) -> dict[str, Any]:
    """Of a notebook's settings those that must be the same on both data sets."""
    return {name: value for name, value in identity.items() if name not in _OF_THE_DATA}


def _computed(second: Study, profile: str) -> FirstResults:
    """Table 1's rows by the shared stages, or the reason why they cannot be had."""
    settings = second.settings
    of_data = {k: v for k, v in load_profile(profile, "01").items() if k in _OF_THE_DATA}
    first = make_settings({**settings.model_dump(mode="json"), **of_data})
    name = data_name(first.dataset)
    study = Study(first)
    try:
        found = [row for row in refinement_rows(study, 1) if row.evaluated is not None]
    except DataError as error:
        return FirstResults(name, (), f"not run: {error}")
    if not found:
        return FirstResults(name, (), f"not run: no base system of profile {profile} can be run")
    used = study.provenance()
    predictions = {f"{k} on {name}": v for k, v in used.predictions_sha256.items()}
    second.uses(used.checkpoint_sha256, predictions)
    second.log.extend(study.log)
    rows = tuple(row.model_copy(update={"evaluated": None}) for row in found)
    stages, reused = len(study.log), sum(run.reused == run.clips for run in study.log)
    return FirstResults(name, rows, f"computed, {reused} of {stages} stages reused")


def gains_by_data(first: FirstResults, rows: Sequence[Row], dataset: str) -> pd.DataFrame:
    """All gains by refinement: `first` and `rows` of the second `dataset`, and the paper's on two.

    Returns:
        Columns `data`, `system`, `metric`, `gain`, `low`, `high`, `source` ("ours" or "paper");
        points; intervals are missing for the paper and for few clips. Ordered by `data`.
    """
    lines = [
        (name, row.label, metric, gain.gain, gain.low, gain.high, "ours")
        for name, part in ((first.dataset, first.rows), (dataset, rows))
        for row in part
        for metric in METRICS
        if (gain := row.gains.get(metric)) and gain.gain is not None
    ]
    for name, table in (("VSPW", 1), ("VIPSeg", 2)):
        for base, refined in paper_refinements(table):
            row = table_row(table, *refined, "as printed", base)
            lines += [
                (f"paper: {name}", row.label, metric, gain, None, None, "paper")
                for metric in METRICS
                if (gain := row.paper_gains[metric]) is not None
            ]
    numbers = ["gain", "low", "high"]
    frame = pd.DataFrame(lines, columns=["data", "system", "metric", *numbers, "source"])
    return frame.astype(dict.fromkeys(numbers, "float64"))


def transfer_table(first: FirstResults, rows: Sequence[Row], dataset: str) -> pd.DataFrame:
    """Base mIoU and gains of systems run on both data sets: two lines a refined system, to read."""
    before, after = ({row.name: row for row in found} for found in (first.rows, rows))
    lines: list[dict[tuple[str, str], str]] = []
    for row in rows:
        if row.reference is None or not {row.name, row.reference} <= before.keys():
            continue
        for name, part in ((first.dataset, before), (dataset, after)):
            base, gains = part[row.reference].ours.get("mIoU"), part[row.name].gains
            line = {("", "System"): row.label, ("", "Data"): name}
            line["base", "mIoU"] = number_text(base)
            lines.append(line | {("gain", m): interval_text(gains.get(m)) for m in METRICS})
    return grouped_table(lines)


def transfer_reading(first: FirstResults, rows: Sequence[Row], dataset: str) -> str:
    """In a sentence: how many of the first data set's gains have the same sign on the second."""
    before = {row.name: row.gains for row in first.rows}
    gains = [
        (old.gain, new.gain)
        for row in rows
        for metric in METRICS
        if (old := before.get(row.name, {}).get(metric)) and (new := row.gains.get(metric))
        if old.gain is not None and new.gain is not None
    ]
    if not gains:
        return f"No system was refined on both {first.dataset} and {dataset} ({first.source})."
    raised = [new for old, new in gains if old > 0]
    lowered = [new for old, new in gains if old <= 0]
    return (
        f"Of the gains on {first.dataset}, {len(raised)} are above zero; "
        f"{sum(new > 0 for new in raised)} of these are so on {dataset} too. "
        f"{len(lowered)} are not; {sum(new <= 0 for new in lowered)} of these are not on {dataset}."
    )


_MARKERS = "osD^vP*X"
_BAND = 0.8  # share of a data set's band that its systems are spread over
_LINE_IN = 0.09  # inches a system


def figure_transfer(gains: pd.DataFrame) -> Figure:
    """Of `gains_by_data`: a panel a metric, a band a data set; colours are votes, marks systems."""
    bands = list(dict.fromkeys(gains["data"]))
    of_ours = gains[gains["source"] == "ours"]
    bases = list(dict.fromkeys(_parts(system)[0] for system in of_ours["system"]))
    markers = {base: _MARKERS[i % len(_MARKERS)] for i, base in enumerate(bases)}
    most = int(gains.value_counts(["data", "metric"]).max())
    height = max(0.65, _LINE_IN * most / _BAND)
    figure = Figure(figsize=(9.0, height * len(bands) + 1.5), layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for axis, metric in zip(axes, METRICS, strict=True):
        for place, band in enumerate(bands):
            part = gains.loc[(gains["data"] == band) & (gains["metric"] == metric)]
            _draw(axis, part.to_dict("records"), place, markers)
        axis.axvline(0, color="black", linewidth=0.8, zorder=1)
        axis.set_title(metric, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(axis="x", linewidth=0.3)
    axes[0].set_yticks(range(len(bands)), bands, fontsize=8)
    axes[0].set_ylim(len(bands) - 0.5, -0.5)
    figure.supxlabel("gain of refinement (points)", fontsize=8)
    votes = dict.fromkeys(_parts(system)[1] for system in of_ours["system"])
    handles = [
        *(_handle(INK, markers[base], base) for base in bases),
        *(_handle(_colour(vote), "o", vote) for vote in votes),
        _handle(NEUTRAL, "o", "paper"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, fontsize=7, frameon=False)
    return figure


def _handle(colour: str, marker: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=label)


def _parts(system: str) -> tuple[str, str]:
    """Base system and vote of a refined row's label."""
    rule = rule_of(system)
    return system.replace(rule.suffix, "").removeprefix("SAM2-"), rule.title


def _colour(title: str) -> str:
    """Of a vote, by its place among all."""
    return SERIES[[rule.title for rule in VOTES.values()].index(title) % len(SERIES)]


def _draw(axis: Any, part: list[Any], place: int, markers: dict[str, str]) -> None:
    """The systems of one data set, spread over its band in their order from top to bottom."""
    for i, line in enumerate(part):
        y = place + _BAND * ((i + 0.5) / len(part) - 0.5)
        colour, marker = NEUTRAL, "o"
        if line["source"] == "ours":
            base, vote = _parts(line["system"])
            colour, marker = _colour(vote), markers[base]
        axis.plot([line["low"], line["high"]], [y, y], color=colour, linewidth=1.2, zorder=2)
        axis.plot([line["gain"]], [y], color=colour, marker=marker, markersize=4, zorder=3)
