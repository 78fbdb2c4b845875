"""From frames to masklets, window by window, clip by clip, into the store."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.files import sha256_file
from sam2vss_lib.masklets.propagation import propagate
from sam2vss_lib.masklets.proposals import ProposalGenerator
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore, masklet_rows

_log = logging.getLogger(__name__)


@dataclass
class MaskletRun:
    """What a run of `generate_masklets` did.

    Attributes:
        clips: clips in the store afterwards.
        reused: clips found complete.
        frames: frames computed.
        masklets: masklets computed.
        seconds_by_clip: wall time of the computed clips.
    """

    clips: int = 0
    reused: int = 0
    frames: int = 0
    masklets: int = 0
    seconds_by_clip: dict[str, float] = field(default_factory=dict)


def generate_masklets(
    dataset: Dataset,
    model: Sam2Model,
    settings: MaskletSettings,
    out: str | Path,
    *,
    progress: Callable[[str], None] = lambda clip: None,
) -> MaskletRun:
    """Compute the masklets of every clip and store them; finished clips are reused.

    Args:
        dataset: the clips; ground truth is not read.
        model: the SAM2 model.
        settings: windows, grid and thresholds.
        out: folder of the store.
        progress: called with each clip's name when it is in the store.

    Raises:
        DataError: a frame cannot be read, or the store holds masklets made with other settings,
            another checkpoint or other frames.
    """
    store, run = MaskletStore(out), MaskletRun()
    generator = ProposalGenerator(model, settings)
    for clip in dataset.clips:
        metadata = _metadata(clip, model, settings)
        if store.path(clip.name).is_file():
            check_metadata(store, clip.name, metadata)
            run.reused += 1
        else:
            started = time.perf_counter()
            rows = _clip_rows(clip, model, generator, settings)
            store.write(clip.name, rows, metadata)
            run.seconds_by_clip[clip.name] = time.perf_counter() - started
            run.frames += clip.num_frames
            run.masklets += rows[-1]["masklet"] + 1 if rows else 0
        run.clips += 1
        progress(clip.name)
    return run


def _metadata(clip: Clip, model: Sam2Model, settings: MaskletSettings) -> dict[str, Any]:
    """What a clip's masklets depend on, as stored in its file."""
    frames = hashlib.sha256()
    for index in range(clip.num_frames):
        frames.update(sha256_file(clip.frame_path(index)).encode())
    return {
        "settings": settings.model_dump(mode="json"),
        "settings_sha256": settings.sha256(),
        "checkpoint_sha256": model.checkpoint_sha256,
        "clip": clip.name,
        "frames": str(clip.num_frames),
        "frames_sha256": frames.hexdigest(),
    }


def check_metadata(store: MaskletStore, clip: str, wanted: dict[str, Any]) -> None:
    """Refuse a stored clip that was made from something else.

    Args:
        store: the store.
        clip: name of the clip.
        wanted: metadata a new computation would store.

    Raises:
        DataError: naming what differs.
    """
    stored = store.metadata(clip)
    remedy = "delete it or choose another --out"
    for key, value in wanted["settings"].items():
        if (old := stored["settings"].get(key)) != value:
            raise DataError(f"{store.path(clip)}: made with {key} = {old}, not {value}; {remedy}")
    for key in ("settings_sha256", "checkpoint_sha256", "frames_sha256", "frames", "clip"):
        if stored[key] != wanted[key]:
            raise DataError(
                f"{store.path(clip)}: {key} is {stored[key][:12]}, not {wanted[key][:12]}: made "
                f"from something else; {remedy}"
            )


def visible_parts(logits: Tensor) -> Tensor:
    """Disjoint masks by largest logit.

    Args:
        logits: (n, H, W).

    Returns:
        (n, H, W) bool: where a masklet's logit is positive and the largest; ties go to the first.
    """
    best = logits.max(0)
    index = torch.arange(len(logits), device=logits.device)[:, None, None]
    first = torch.where(logits == best.values, index, len(logits)).amin(0)
    return (index == first) & (best.values > 0)


def _clip_rows(
    clip: Clip, model: Sam2Model, generator: ProposalGenerator, settings: MaskletSettings
) -> list[dict[str, Any]]:
    """All windows of a clip: disjoint, forward, the last one shorter."""
    rows: list[dict[str, Any]] = []
    next_masklet = 0
    for window, anchor in enumerate(range(0, clip.num_frames, settings.window)):
        frames = range(anchor, min(anchor + settings.window, clip.num_frames))
        found = generator(clip.frame(anchor))
        if not len(found.masks):
            _log.info("%s: no proposal on frame %d", clip.name, anchor)
            continue
        paths = [clip.frame_path(index) for index in frames]
        for part in propagate(model, paths, found.masks, precision=settings.precision):
            _check_size(clip, part.logits)
            rows += masklet_rows(
                _to_numpy(part.logits > 0),
                _to_numpy(visible_parts(part.logits)),
                window=window,
                anchor=anchor,
                frame=anchor + part.offset,
                first_masklet=next_masklet,
                predicted_iou=found.predicted_iou,
                stability=found.stability,
                object_score=part.object_score,
            )
        next_masklet += len(found.masks)
    return rows


def _to_numpy(masks: Tensor) -> NDArray[np.bool_]:
    return masks.cpu().numpy()


def _check_size(clip: Clip, logits: Tensor) -> None:
    """A window's frames must share one size, which is the proposals' size too."""
    if tuple(logits.shape[1:]) != tuple(clip.size):
        raise DataError(f"{clip.frame_path(0).parent}: frames of unequal size; convert the clip")
