"""Why I-X may be more consistent than X: the masklets by themselves, and constant wrong labels."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from sam2vss_lib.study.analyses.independent_sam2.rows import EncoderRun
from sam2vss_lib.study.results.text import range_text
from sam2vss_lib.study.stages.study import Evaluated

METRIC, EQ4 = "mVC8", "vc_eq4"


class Consistency(NamedTuple):
    """mVC8 of one encoder's rows, percent; means over seeds where a classifier is trained."""

    label: str  # I-X
    base: float  # of X
    bound: float  # of the same masklets with their true classes
    alone: float  # of I-X
    filled: float  # of I-X_base
    base_eq4: float  # of X by Eq. 4 of the paper, where a constant label must also be the right one
    alone_eq4: float  # of I-X by Eq. 4
    raised_clips: int  # clips in which I-X (first seed) is above X
    clips: int  # clips in which both are defined


def consistencies(runs: Sequence[EncoderRun]) -> list[Consistency]:
    """Of every encoder whose rows were all run, on clips that are long enough for mVC8."""
    found: list[Consistency] = []
    for run in runs:
        if run.base is None or run.bound is None or not run.alone or not run.filled:
            continue
        alone, filled = [*run.alone.values()], [*run.filled.values()]
        if any(one.metrics["metrics"][METRIC] is None for one in (run.base, run.bound, *alone)):
            continue
        gains = alone[0].gains_by_clip(run.base, METRIC)
        found.append(
            Consistency(
                run.system.label,
                _mean([run.base]),
                _mean([run.bound]),
                _mean(alone),
                _mean(filled),
                _mean([run.base], EQ4),
                _mean(alone, EQ4),
                sum(gain > 0 for gain in gains.values()),
                len(gains),
            )
        )
    return found


def _mean(runs: Sequence[Evaluated], variant: str = "vc_code") -> float:
    return fmean(run.metrics["variants"][METRIC][variant] for run in runs)


def consistency_table(found: Sequence[Consistency]) -> pd.DataFrame:
    """mVC8 of all rows by the VSPW script's definition, and of X and I-X by Eq. 4; percent."""
    lines = [
        {
            "Row": one.label,
            "X": f"{one.base:.2f}",
            "Masklets with true classes": f"{one.bound:.2f}",
            "I-X": f"{one.alone:.2f}",
            "I-X_base": f"{one.filled:.2f}",
            "Clips with I-X above X": f"{one.raised_clips} of {one.clips}",
            "X, Eq. 4": f"{one.base_eq4:.2f}",
            "I-X, Eq. 4": f"{one.alone_eq4:.2f}",
        }
        for one in found
    ]
    return pd.DataFrame(lines)


def consistency_reading(found: Sequence[Consistency]) -> str:
    """Where gains of I-X in mVC8 over X come from, from the numbers alone; like rows together."""
    alike: dict[tuple[str, ...], list[Consistency]] = {}
    for one in found:
        alike.setdefault(_reasons(one), []).append(one)
    return " ".join(_said(group, reasons) for reasons, group in alike.items())


def _reasons(one: Consistency) -> tuple[str, ...]:
    if one.alone <= one.base:
        return ()
    reasons = {
        "The masklets themselves are more consistent than the base system.": one.bound > one.base,
        "It stays above it when no pixel is left unlabelled, so these are not the reason.": (
            one.filled > one.base
        ),
        "More of what stays constant is wrong than in the base system.": (
            one.alone_eq4 < one.base_eq4
        ),
    }
    return tuple(text for text, holds in reasons.items() if holds)


def _said(group: Sequence[Consistency], reasons: Sequence[str]) -> str:
    raised, clips = sum(one.raised_clips for one in group), sum(one.clips for one in group)
    rows = ", ".join(one.label for one in group)
    alone, bound, filled = (
        range_text([getattr(one, part) - one.base for one in group])
        for part in ("alone", "bound", "filled")
    )
    eq4 = range_text([one.alone_eq4 - one.base_eq4 for one in group])
    text = (
        f"{rows}: {alone} points {METRIC} to its base system (above it in {raised} of {clips} "
        f"clips); the same masklets with their true classes {bound}, and what they leave "
        f"uncovered filled from it {filled}; by Eq. 4, where a constant label must also be the "
        f"right one, {eq4}."
    )
    return " ".join([text, *reasons])
