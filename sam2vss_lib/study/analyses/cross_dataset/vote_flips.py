"""Where the frame vote costs consistency: masklets whose voted class changes between frames."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sam2vss_lib.datasets import VOID, Clip
from sam2vss_lib.masklets.store import ClipMasklets
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes, winning_classes
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.text import range_text
from sam2vss_lib.study.stages import Study

METRIC = "mVC8"


def flipped_votes(study: Study, rows: Sequence[Row]) -> pd.DataFrame:
    """Per base system and clip: how often votes change, and what each vote does to consistency.

    Returns:
        Columns `system`, `clip`, `flips` (`flipped_percent`), and for each vote of the settings,
        `frame` or `masklet`, the clip's gain in mVC8, percentage points. Clips without a window
        of 8 frames, or without masklets to follow, are left out.
    """
    lines: list[dict[str, object]] = []
    for base in rows:
        refined = [row.evaluated for row in rows if row.reference == base.name and row.evaluated]
        if base.evaluated is None or not refined:
            continue
        gains = [run.gains_by_clip(base.evaluated, METRIC) for run in refined]
        predictions = base.evaluated.predictions
        for clip in study.dataset:
            stored = study.masklets.read(clip.name)
            flips = flipped_percent(clip, predictions, stored)
            of_clip = [found.get(clip.name) for found in gains]
            votes = dict(zip(study.settings.votes, of_clip, strict=True))
            lines.append({"system": base.label, "clip": clip.name, "flips": flips, **votes})
    numbers = ["flips", *study.settings.votes]
    frame = pd.DataFrame(lines, columns=["system", "clip", *numbers])
    return frame.astype(dict.fromkeys(numbers, "float64")).dropna(ignore_index=True)


def flipped_percent(
    clip: Clip,
    predictions: PredictionFolder,
    stored: ClipMasklets,
) -> float | None:
    """Share of masklets' pixels whose voted class is not that of the masklet's last vote.

    Every masklet votes on every frame of its window (Eq. 2), and counts with its pixels from its
    second vote on. A vote for the whole window cannot flip. None if no masklet votes twice.
    """
    flipped = followed = 0
    for window in stored.windows():
        last = np.full(len(window[0].values("area")), VOID, np.uint8)
        for part in window:
            labels = predictions.read(clip, part.frame)
            votes = count_votes(part.runs(), labels, predictions.num_classes)
            classes, area_px = winning_classes(votes), part.values("area")
            again = (classes != VOID) & (last != VOID)
            followed += int(area_px[again].sum())
            flipped += int(area_px[again & (classes != last)].sum())
            last = np.where(classes == VOID, last, classes)
    return 100 * flipped / followed if followed else None


def flips_table(flips: pd.DataFrame) -> pd.DataFrame:
    """The clips of `vote_flips`, to read, those with most flips first."""
    gains = {vote: rule.title for vote, rule in VOTES.items() if vote in flips}
    lines = [
        {
            "Base system": line["system"],
            "Clip": line["clip"],
            "Votes that flip (% of masklets' pixels)": f"{line['flips']:.2f}",
            **{f"{METRIC}, {name}": f"{line[vote]:+.2f}" for vote, name in gains.items()},
        }
        for _, part in flips.groupby("system", sort=False)
        for line in part.sort_values("flips", ascending=False).to_dict("records")
    ]
    return pd.DataFrame(lines)


def flips_reading(flips: pd.DataFrame) -> str:
    """Whether the frame vote loses consistency where votes flip, from the numbers alone."""
    if "frame" not in flips:
        return ""
    return " ".join(_said(str(name), part) for name, part in flips.groupby("system", sort=False))


def _said(system: str, part: pd.DataFrame) -> str:
    """One base system's clips in words."""
    falls = part["frame"] < 0
    text = f"{system}: {METRIC} falls in {falls.sum()} of {len(part)} clips with the frame vote"
    if "masklet" in part:
        text += f" and in {(part['masklet'] < 0).sum()} with the window vote"
    fallen, others = part.loc[falls, "flips"], part.loc[~falls, "flips"]
    if fallen.empty or others.empty:
        return f"{text}."
    text += (
        f"; votes flip at {range_text(fallen, sign=False)} % of masklets' pixels in the clips "
        f"where the frame vote lowers it, at {range_text(others, sign=False)} % in the others"
    )
    if len(set(part["flips"].tolist())) > 1:
        # ranks by hand: pandas takes Spearman's coefficient from a package not needed otherwise
        ranks = part[["frame", "flips"]].rank()
        correlation = float(np.corrcoef(ranks["frame"], ranks["flips"])[0, 1])
        text += f" (rank correlation of gain and flips {correlation:+.2f})"
    if fallen.min() > others.max():
        return f"{text}: the frame vote's {METRIC} falls in the clips where votes flip most."
    return f"{text}: flips alone do not tell these clips from the others."
