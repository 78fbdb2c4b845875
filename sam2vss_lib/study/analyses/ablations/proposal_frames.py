"""Why the window matters: masklets where they are proposed, and where they are followed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import Gain
from sam2vss_lib.metrics.bootstrap import paired_share_gain
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes
from sam2vss_lib.study.results.text import interval_text
from sam2vss_lib.study.stages import Study


class FrameKind(NamedTuple):
    """Frames of the longest window that masklets are proposed on, or those they are followed to.

    Attributes:
        frames: number of them that have ground truth.
        purity: share of the masklets' pixels that are of the masklet's most frequent class.
        right: share of right pixels before refinement.
        gain: of right pixels by refinement, percentage points.
    """

    frames: int
    purity: float
    right: float
    gain: Gain


def frame_kinds(study: Study) -> list[FrameKind]:
    """First frames of the longest window of the sweep, and its later ones.

    Args:
        study: of an ablation; nothing is returned if its first base system cannot be run.
    """
    settings = study.settings
    if study.why_not(settings.base_systems[0]):
        return []
    masklets = [*settings.masklet_sweep().values()][-1]
    store = study.masklets_for([masklets])[masklets]
    base = study.base(settings.base_systems[0])
    refined = study.refined(settings.base_systems[0], settings.votes[0], store)
    counts = np.array([_counts(clip, store, base.folder, refined.folder) for clip in study.dataset])
    return [_kind(study, counts[:, kind]) for kind in (0, 1)]


def _counts(
    clip: Clip, store: MaskletStore, base: PredictionFolder, refined: PredictionFolder
) -> NDArray[np.int64]:
    """Frames, labelled pixels, those right before and after, masklets' pixels, those of main class.

    Only frames that have ground truth count.

    Returns:
        (2, 6) int64: on first frames of windows, and on later ones.
    """
    counts, annotated = np.zeros((2, 6), np.int64), {*clip.annotated}
    for window in store.read(clip.name).windows():
        for part in (part for part in window if part.frame in annotated):
            truth = clip.ground_truth(part.frame)
            labelled = truth != VOID
            votes = count_votes(
                torch.from_numpy(part.masks()), torch.from_numpy(truth), base.num_classes
            )
            counts[int(part.frame > window[0].frame)] += [
                1,
                labelled.sum(),
                *(((f.read(clip, part.frame) == truth) & labelled).sum() for f in (base, refined)),
                int(votes.sum()),
                int(votes.amax(1).sum()),
            ]
    return counts


def _kind(study: Study, counts: NDArray[np.int64]) -> FrameKind:
    """(clips, 6) counts of one kind of frames."""
    frames, labelled, before, after, masked, main = counts.T
    settings = study.settings
    gain = paired_share_gain(
        before, after, labelled, samples=settings.bootstrap_samples, seed=settings.seed
    )
    return FrameKind(
        int(frames.sum()),
        100 * float(main.sum() / max(masked.sum(), 1)),
        100 * float(before.sum() / max(labelled.sum(), 1)),
        gain,
    )


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
    if (later.gain.gain or 0.0) > (first.gain.gain or 0.0):
        return f"{said} Longer windows have fewer frames of the first kind, the worse one here."
    return f"{said} Longer windows have more frames of the second kind, the worse one here."
