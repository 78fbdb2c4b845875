"""Why the window matters: masklets where they are proposed, and where they are followed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from sam2vss_lib.datasets import VOID, Clip
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import Gain
from sam2vss_lib.metrics.bootstrap import paired_share_gain
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.study.results.text import interval_text
from sam2vss_lib.study.stages import Study


class FrameKind(NamedTuple):
    """Frames of the longest window that masklets are proposed on, or those they are followed to."""

    frames: int
    purity: float  # share of the masklets' pixels that are of the masklet's most frequent class
    right: float  # share of right pixels before refinement
    gain: Gain  # of right pixels by refinement, percentage points


def frame_kinds(study: Study) -> list[FrameKind]:
    """First frames of the longest window of the sweep, and later ones; [] if it cannot be run."""
    settings = study.settings
    if study.why_not(settings.base_systems[0]):
        return []
    masklets = [*settings.masklet_sweep().values()][-1]
    store = study.masklets_for([masklets])[masklets]
    base = study.base(settings.base_systems[0])
    refined = study.refined(settings.base_systems[0], settings.votes[0], store)
    lines = (_counts(clip, store, base.folder, refined.folder) for clip in study.dataset)
    counts = pd.DataFrame([line for of_clip in lines for line in of_clip])
    both = pd.MultiIndex.from_product([[False, True], [clip.name for clip in study.dataset]])
    per_clip: Any = counts.groupby(["followed", "clip"]).sum()
    per_clip = per_clip.reindex(both, fill_value=0)
    return [_kind(study, per_clip.loc[followed]) for followed in (False, True)]


def _counts(
    clip: Clip, store: MaskletStore, base: PredictionFolder, refined: PredictionFolder
) -> Iterator[dict[str, Any]]:
    """Pixels of annotated frames: labelled, right, under masklets, and of their main class."""
    annotated = {*clip.annotated}
    for window in store.open(clip).windows():
        for part in (part for part in window if part.frame in annotated):
            truth = clip.ground_truth(part.frame)
            labelled = truth != VOID
            votes = count_votes(part.runs(), truth, base.num_classes)
            yield {
                "followed": part.frame > window[0].frame,
                "clip": clip.name,
                "frames": 1,
                "labelled": labelled.sum(),
                "right_before": ((base.read(clip, part.frame) == truth) & labelled).sum(),
                "right_after": ((refined.read(clip, part.frame) == truth) & labelled).sum(),
                "masked": int(votes.sum()),
                "main_class": int(votes.max(1).sum()),
            }


def _kind(study: Study, counts: pd.DataFrame) -> FrameKind:
    """One kind of frames, of which the counts have a line a clip."""
    settings, total = study.settings, counts.sum().to_dict()
    parts = (counts[name].to_numpy() for name in ("right_before", "right_after", "labelled"))
    gain = paired_share_gain(*parts, samples=settings.bootstrap_samples, seed=settings.seed)
    purity = 100 * float(total["main_class"] / max(total["masked"], 1))
    right = 100 * float(total["right_before"] / max(total["labelled"], 1))
    return FrameKind(int(total["frames"]), purity, right, gain)


def kinds_table(kinds: list[FrameKind]) -> pd.DataFrame:
    """Both kinds of frames, to read; percent and points."""
    return pd.DataFrame(
        [
            {
                "Frames": name,
                "Number": str(kind.frames),
                "Pixels of the masklet's main class": f"{kind.purity:.1f}",
                "Right before refinement": f"{kind.right:.2f}",
                "Change by refinement": interval_text(kind.gain),
            }
            for name, kind in zip(("proposed on", "followed to"), kinds, strict=False)
        ]
    )


def kinds_reading(kinds: list[FrameKind]) -> str:
    """What the two kinds of frames say about the window, from the numbers alone."""
    if any(kind.gain.gain is None for kind in kinds) or not kinds:
        return ""
    first, later = kinds
    said = (
        f"With the longest window, refinement changes the share of right pixels by "
        f"{interval_text(first.gain)} points on frames that masklets are proposed on, and by "
        f"{interval_text(later.gain)} on frames they are followed to; {first.purity:.1f} % and "
        f"{later.purity:.1f} % of the masklets' pixels are of their main class there."
    )
    difference = (later.gain.gain or 0.0) - (first.gain.gain or 0.0)
    if not difference:
        return f"{said} Neither kind is the worse one."
    if difference > 0:
        return f"{said} Longer windows have fewer frames of the first kind, the worse one here."
    return f"{said} Longer windows have more frames of the second kind, the worse one here."
