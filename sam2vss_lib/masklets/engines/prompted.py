"""The masklets of one clip by any model that is prompted by points, and follows masks.

All that is the model's own is behind `VideoModel`. Grid, thresholds, suppression of duplicates and
rows are those of the other engines.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.drawing.drawn import Drawn
from sam2vss_lib.masklets.engines.batched.grid import (
    grid_points,
    select,
    stable_candidates,
)
from sam2vss_lib.masklets.proposals import Proposals, passes_iou
from sam2vss_lib.masklets.registry import MaskletModel
from sam2vss_lib.masklets.rows import run_columns
from sam2vss_lib.masklets.runs import encode_runs
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.masklets.writer import ClipWriter

Features: TypeAlias = Any  # of a frame, as a model makes and reads them
Track: TypeAlias = Any  # some objects on their way through a window, with what is remembered
_log = logging.getLogger(__name__)


class VideoModel(MaskletModel, Protocol):
    """What a model has to be able to do."""

    @property
    def side_px(self) -> int:
        """Width and height of the frames that it reads."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it is."""
        ...

    @property
    def objects_at_once(self) -> int:
        """Objects of a track at most; 1 of a model that works on each by itself."""
        ...

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Context in which it runs with `precision` ("float32" or "bfloat16")."""
        ...

    def encode(self, frame: NDArray[np.uint8]) -> Features:
        """Features of an (H, W, 3) uint8 RGB frame."""
        ...

    def decode_points(self, features: Features, points: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of (n, 2) points, x and y in pixels of its input.

        Returns:
            (n, m, h, w) logits, and (n, m) predicted IoU.
        """
        ...

    def start(self, masks: NDArray[np.bool_], num_frames: int) -> Track:
        """Objects to follow through so many frames: (n, H, W) masks on the first, n > 0."""
        ...

    def step(self, track: Track, offset: int, features: Features) -> tuple[Tensor, Tensor]:
        """The objects on the next frame, which from 0 on are given in order.

        Returns:
            (n, 1, h, w) float32 logits, and (n,) float32 logits of being present.
        """
        ...


class PromptedEngine:
    """Points on a window's first frame, and the objects that they find; a `MaskletEngine`."""

    def __init__(
        self, model: VideoModel, settings: MaskletSettings, max_objects_per_batch: int | None
    ) -> None:
        self._model, self._settings = model, settings
        most = model.objects_at_once
        self._objects = min(max_objects_per_batch or most, most)

    def write_clip(self, clip: Clip, writers: Mapping[MaskletSettings, ClipWriter]) -> Work:
        """Compute a clip's masklets window by window; the last window may be shorter."""
        ((settings, writer),) = writers.items()
        work = Work()
        for window, anchor in enumerate(range(0, clip.num_frames, settings.window)):
            num_frames = min(settings.window, clip.num_frames - anchor)
            features = self._encode(clip, anchor)
            found = self._propose(features, clip.size)
            work.prompts += settings.points_per_side**2
            work.image_encodings += 1
            if not len(found.masks):
                _log.info("%s: no proposal on frame %d", clip.name, anchor)
                continue
            parts = np.array_split(found.masks, -(-len(found.masks) // self._objects))
            with torch.inference_mode(), self._model.autocast(settings.precision):
                tracks = [self._model.start(masks, num_frames) for masks in parts]
            for offset in range(num_frames):
                if offset:
                    features = self._encode(clip, anchor + offset)
                    work.image_encodings += 1
                low, presence = self._step(tracks, offset, features)
                work.object_frames += len(low)
                masks, (seen,) = Drawn(low, clip.size, [np.arange(len(low))]).runs()
                writer.add(
                    run_columns(masks),
                    encode_runs(seen),
                    window=window,
                    anchor=anchor,
                    frame=anchor + offset,
                    predicted_iou=found.predicted_iou,
                    stability=found.stability,
                    object_score=presence,
                )
        return work

    def _encode(self, clip: Clip, frame: int) -> Features:
        with torch.inference_mode(), self._model.autocast(self._settings.precision):
            return self._model.encode(clip.frame(frame))

    def _propose(self, features: Features, size_px: tuple[int, int]) -> Proposals:
        """What the points of the grid find, by descending predicted IoU."""
        model, settings = self._model, self._settings

        def decoded() -> Iterator[tuple[Tensor, Tensor]]:
            points = grid_points(settings, size_px, model.side_px).to(model.device)
            for batch in points.split(settings.points_per_batch):
                logits, predicted_iou = model.decode_points(features, batch)
                passed = passes_iou(predicted_iou, settings.pred_iou_thresh)
                yield logits[passed][:, None].float(), predicted_iou[passed]

        with torch.inference_mode(), model.autocast(settings.precision):
            found, _ = select(stable_candidates(decoded(), size_px, settings), settings)
        return found

    def _step(
        self, tracks: list[Track], offset: int, features: Features
    ) -> tuple[Tensor, NDArray[np.float32]]:
        """All objects on one frame: (n, 1, h, w) logits, and (n,) presence logits."""
        with torch.inference_mode(), self._model.autocast(self._settings.precision):
            found = [self._model.step(track, offset, features) for track in tracks]
        logits, presence = map(torch.cat, zip(*found, strict=True))
        return logits, presence.cpu().numpy()
