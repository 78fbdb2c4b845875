"""What stands beside Table 3: seeds, the masklets' bound with its figure, and the training."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sam2vss_lib.masklets.rows import mask_areas
from sam2vss_lib.study.analyses.independent_sam2.rows import EncoderRun, spread
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.results.style import BETTER, INK, NEUTRAL, WORSE
from sam2vss_lib.study.results.tables import table_metrics
from sam2vss_lib.study.results.text import DASH, number_text, range_text


def seeds_table(runs: list[EncoderRun]) -> pd.DataFrame:
    """Every trained row over the seeds of its classifier: mean ± standard deviation, percent."""
    lines: list[dict[str, str]] = []
    for run in runs:
        for label, by_seed, _ in run.trained:
            if by_seed:
                numbers = {
                    metric: f"{pair[0]:.2f} ± {pair[1]:.2f}" if pair else DASH
                    for metric in table_metrics()
                    for pair in [spread(by_seed, metric)]
                }
                lines.append({"Row": label, "Seeds": str(len(by_seed)), **numbers})
    return pd.DataFrame(lines, columns=["Row", "Seeds", *table_metrics()])


def seeds_frame(runs: list[EncoderRun]) -> pd.DataFrame:
    """Every number behind the tables, for figures.

    Returns:
        Columns `system`, `part` (base, alone, filled, bound, bound filled), `seed` (-1 where
        nothing is trained), `metric`, `value` (percent).
    """
    lines = [
        (run.system.label, part, seed, metric, evaluated.metrics["metrics"][metric])
        for run in runs
        for part, by_seed in (
            ("base", {-1: run.base}),
            ("alone", run.alone),
            ("filled", run.filled),
            ("bound", {-1: run.bound}),
            ("bound filled", {-1: run.bound_filled}),
        )
        for seed, evaluated in by_seed.items()
        if evaluated is not None
        for metric in table_metrics()
    ]
    return pd.DataFrame(lines, columns=["system", "part", "seed", "metric", "value"])


class Gap(NamedTuple):
    """Where a row's mIoU differs from its base system's, percentage points."""

    label: str  # the row
    filled: bool  # whether it is I-X_base
    base: float  # mIoU of the base system X
    bound: float  # mIoU of the same masklets with their true classes
    value: float  # mean mIoU over seeds

    @property
    def of_row(self) -> float:
        """Row minus X, the sum of the two parts."""
        return self.value - self.base

    @property
    def of_masklets(self) -> float:
        """Bound minus X: what these masklets lose or gain even with perfect classes."""
        return self.bound - self.base

    @property
    def of_classifier(self) -> float:
        """Row minus bound: what wrong classes lose."""
        return self.value - self.bound


def gaps(runs: list[EncoderRun]) -> list[Gap]:
    """The two parts of every gap that was measured."""
    found: list[Gap] = []
    for run in runs:
        for label, by_seed, bound in run.trained:
            mean = spread(by_seed, "mIoU")
            if run.base is not None and bound is not None and mean is not None:
                base, most = (e.metrics["metrics"]["mIoU"] for e in (run.base, bound))
                found.append(Gap(label, by_seed is run.filled, base, most, mean[0]))
    return found


def bound_table(runs: list[EncoderRun]) -> pd.DataFrame:
    """The parts of the gap to the base system that are the masklets' and the classifier's."""
    lines = [
        {
            "Row": gap.label,
            "Base system X": number_text(gap.base),
            "Masklets with true classes": number_text(gap.bound),
            "Row, mean of seeds": number_text(gap.value),
            "Masklets' part": number_text(gap.of_masklets, sign=True),
            "Classifier's part": number_text(gap.of_classifier, sign=True),
        }
        for gap in gaps(runs)
    ]
    return pd.DataFrame(lines)


def training_table(study: IndependentStudy, runs: list[EncoderRun]) -> pd.DataFrame:
    """Encoders, what their classifiers were trained on, and how they did on clips set apart."""
    lines: list[dict[str, str]] = []
    for run in (run for run in runs if run.alone):
        encoder, training = study.encoder(run.system), study.training_set(run.system)
        trained = [study.classifier(run.system, seed) for seed in run.alone]
        best = [classifier.history[classifier.best_epoch - 1] for classifier in trained]
        lines.append(
            {
                "Row": run.system.label,
                "Encoder": encoder.name,
                "Features": str(encoder.dim),
                "Stride (px)": str(encoder.stride),
                "Masklets": str(len(training.labels)),
                "Left out: void": str(training.left_out["void"]),
                "Left out: mixed": str(training.left_out["mixed"]),
                "Best epochs": ", ".join(str(classifier.best_epoch) for classifier in trained),
                "Validation accuracy (%)": ", ".join(_percent(entry) for entry in best),
            }
        )
    return pd.DataFrame(lines)


def uncovered_percent(study: IndependentStudy) -> float:
    """Share of the pixels of all frames that no masklet covers, percent."""
    covered = total = 0
    for clip in study.dataset:
        rles = study.masklets.read(clip.name).table["rle_visible"].to_pylist()
        # visible parts are disjoint, so their areas add up to what is covered
        covered += int(mask_areas(rles, *clip.size).sum())
        total += math.prod(clip.size) * clip.num_frames
    return 100 * (1 - covered / total)


def gap_reading(runs: list[EncoderRun]) -> str:
    """Where the gap to the base systems comes from, in words, from the numbers alone."""
    found = gaps(runs)
    sentences = list[str]()
    for name, filled in (("I-X", False), ("I-X_base", True)):
        if chosen := [gap for gap in found if gap.filled == filled]:
            whole, masklets, classifier = (
                range_text([getattr(gap, part) for gap in chosen])
                for part in ("of_row", "of_masklets", "of_classifier")
            )
            sentences.append(
                f"{name}, {len(chosen)} rows: {whole} points mIoU to the base system, of which the "
                f"masklets {masklets} and the classifier {classifier}."
            )
    return " ".join(sentences)


def _percent(epoch: Mapping[str, float]) -> str:
    return number_text(100 * epoch["accuracy"] if "accuracy" in epoch else None, 1)


#: part -> label, colour, marker, filled, place within an encoder's row (from its top)
_PARTS: dict[str, tuple[str, str, str, bool, float]] = {
    "base": ("X", INK, "D", True, -0.3),
    "alone": ("I-X", WORSE, "o", True, -0.15),
    "filled": ("I-X_base", BETTER, "o", True, 0.0),
    "bound": ("I-X with true classes", WORSE, "s", False, 0.15),
    "bound filled": ("I-X_base with true classes", BETTER, "s", False, 0.3),
}


def figure_parts(frame: pd.DataFrame, metrics: tuple[str, ...]) -> Figure:
    """One panel per metric, one row per encoder: base, I-X, I-X_base and their bounds."""
    systems = list(dict.fromkeys(frame["system"]))
    size = (2.6 * len(metrics) + 1.2, 0.85 * max(len(systems), 1) + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        known = frame[(frame["metric"] == metric) & frame["value"].notna()]
        for name in _PARTS:
            _dots(axis, pd.DataFrame(known[known["part"] == name]), systems, name)
        axis.set_title(f"{metric} (%)", fontsize=9)
        axis.set_yticks(range(len(systems)), systems, fontsize=8)
        for border in range(1, len(systems)):
            axis.axhline(border - 0.5, color=NEUTRAL, linewidth=0.4)
        axis.set_ylim(max(len(systems), 1) - 0.5, -0.5)
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(axis="x", linewidth=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        place = "outside lower center"
        figure.legend(handles, labels, loc=place, ncols=5, fontsize=7, frameon=False)
    else:
        axes[0].text(0, 0, "nothing was run", fontsize=8)
    return figure


def _dots(axis: Axes, part: pd.DataFrame, systems: list[str], name: str) -> None:
    label, colour, marker, solid, offset = _PARTS[name]
    y = [systems.index(system) + offset for system in part["system"]]
    filling = colour if solid else "white"
    axis.plot(
        part["value"], y, color=colour, marker=marker, markerfacecolor=filling, markersize=5,
        linestyle="none", label=label,
    )  # fmt: skip
    if name in ("alone", "filled"):
        for system, values in part.groupby("system")["value"]:
            middle = systems.index(str(system)) + offset
            axis.vlines(values.mean(), middle - 0.1, middle + 0.1, color=colour, linewidth=1.5)
