"""From frames to masklets, window by window, clip by clip, into the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.masklets.propagation import propagate
from sam2vss_lib.masklets.proposals import ProposalGenerator
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore, Table, frame_table
from sam2vss_lib.records import check_same_inputs, sha256_files

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

    Returns:
        What was computed and what was there.

    Raises:
        DataError: a frame cannot be read, or the store holds masklets made with other settings,
            another model or other frames.
    """
    store, run = MaskletStore(out), MaskletRun()
    generator = ProposalGenerator(model, settings)
    for clip in dataset:
        made_from = _made_from(clip, model, settings)
        path = store.path(clip.name)
        if path.is_file():
            check_same_inputs(path, store.metadata(clip.name), made_from)
            run.reused += 1
        else:
            started = time.perf_counter()
            tables = list(_clip_tables(clip, model, generator, settings))
            store.write(clip.name, tables, made_from)
            run.seconds_by_clip[clip.name] = time.perf_counter() - started
            run.frames += clip.num_frames
            run.masklets += tables[-1]["masklet"][-1].as_py() + 1 if tables else 0
        run.clips += 1
        progress(clip.name)
    return run


def _made_from(clip: Clip, model: Sam2Model, settings: MaskletSettings) -> dict[str, Any]:
    """What a clip's masklets depend on, as stored in its file."""
    return {
        "settings": settings.model_dump(mode="json"),
        "settings_sha256": settings.sha256(),
        "checkpoint_sha256": model.checkpoint_sha256,
        "config_sha256": model.config_sha256,
        "clip": clip.name,
        "frames": clip.num_frames,
        "frames_sha256": sha256_files(clip.frame_path(i) for i in range(clip.num_frames)),
    }


def _clip_tables(
    clip: Clip, model: Sam2Model, generator: ProposalGenerator, settings: MaskletSettings
) -> Iterator[Table]:
    """Rows of a clip by window and frame: windows are disjoint, the last one may be shorter."""
    next_masklet = 0
    for window, anchor in enumerate(range(0, clip.num_frames, settings.window)):
        indices = range(anchor, min(anchor + settings.window, clip.num_frames))
        # sam2 reads the files itself, but neither reports a bad one in a line nor compares sizes
        images = [clip.frame(i) for i in indices]
        found = generator(images[0])
        if not len(found.masks):
            _log.info("%s: no proposal on frame %d", clip.name, anchor)
            continue
        paths = [clip.frame_path(i) for i in indices]
        for part in propagate(model, paths, found.masks, precision=settings.precision):
            yield frame_table(
                (part.logits > 0).cpu().numpy(),
                visible_parts(part.logits).cpu().numpy(),
                window=window,
                anchor=anchor,
                frame=anchor + part.offset,
                first_masklet=next_masklet,
                predicted_iou=found.predicted_iou,
                stability=found.stability,
                object_score=part.object_score,
            )
        next_masklet += len(found.masks)


def visible_parts(logits: Tensor) -> Tensor:
    """Disjoint masks by largest logit.

    Args:
        logits: (n, H, W), n > 0.

    Returns:
        (n, H, W) bool: where a masklet's logit is positive and the largest; ties go to the first.
    """
    best = logits.amax(0)
    # argmax promises nothing about ties, and prompts' logits are mostly equal on their own frame
    index = torch.arange(len(logits), dtype=torch.int32, device=logits.device)[:, None, None]
    first = torch.where(logits == best, index, len(logits)).amin(0)
    return (index == first) & (best > 0)
