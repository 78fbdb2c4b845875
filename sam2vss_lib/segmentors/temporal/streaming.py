"""A temporal base model over a clip: every frame encoded once, its features kept while needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.segmentors.base import Prediction, batches
from sam2vss_lib.segmentors.mit import MitSegmentor
from sam2vss_lib.segmentors.pixels import labels_from_logits
from sam2vss_lib.segmentors.temporal.clip_head import (
    CLIP_FRAMES,
    REACH_FRAMES,
    FrameFeatures,
    TemporalNetwork,
    as_references,
    clip_indices,
    join_frames,
    split_frames,
)
from sam2vss_lib.segmentors.temporal.tv3s import Tv3sHead

_Image = NDArray[np.uint8]


class TemporalSegmentor(MitSegmentor):
    """CFFM, MRCFA or TV3S ready to use."""

    network: TemporalNetwork

    def predict_clip(
        self, frames: Iterable[_Image], *, with_probabilities: bool = False
    ) -> Iterator[Prediction]:
        """Segment the frames of a clip; see `Segmentor.predict_clip`.

        The first three frames are segmented by themselves, later ones with the three references
        of `clip_indices`. TV3S in mode 1 or 2 reads no references.

        Yields:
            Labels (H, W) uint8 and probabilities (C, h, w) float16, where (h, w) is the size of
            the network's input over its first stride.
        """
        kept = _KeptFrames(self, self.options.cache_references)
        state, first = None, 0
        for batch in batches(frames, self.options.batch_frames):
            kept.add(first, batch)
            after = first + len(batch)
            for targets in self._together(range(first, after)):
                if self._carries and (state is None or self.options.tv3s_mode == 1):
                    state = cast(Tv3sHead, self.network.decode_head).new_state()
                logits = self._logits(kept, targets, state)
                labels = labels_from_logits(logits, kept.input_px, batch[0].shape[:2])
                probabilities = logits.softmax(1).half() if with_probabilities else None
                yield from Prediction(labels, probabilities).frames()
            kept.keep_for(after)
            first = after

    @torch.inference_mode()
    def encode(self, frames: Sequence[_Image]) -> tuple[FrameFeatures, Sequence[int]]:
        """What the head keeps of frames, (H, W, 3) uint8 RGB each, all of one size.

        Returns:
            The features of the batch, and the size in px at which the network saw the frames.
        """
        pixels = self.network_input(torch.from_numpy(np.stack(frames)))
        with self.options.autocast(self.device):
            return self.network.frame_features(pixels), pixels.shape[2:]

    @property
    def _carries(self) -> bool:
        """Whether the head reads frame after frame, not a frame and its references."""
        return self.options.tv3s_mode > 0 and isinstance(self.network.decode_head, Tv3sHead)

    def _together(self, targets: Iterable[int]) -> Iterator[list[int]]:
        """Consecutive targets that can be in a batch: their clips have as many frames."""
        for _, group in groupby(targets, lambda i: i if self._carries else len(clip_indices(i))):
            yield list(group)

    @torch.inference_mode()
    def _logits(self, kept: _KeptFrames, targets: Sequence[int], state: Any) -> Tensor:
        """(B, C, h, w) float32."""
        head = self.network.decode_head
        with self.options.autocast(self.device):
            if self._carries:
                return cast(Tv3sHead, head).next_logits(kept.targets(targets), state).float()
            *references, _ = zip(*(clip_indices(target) for target in targets), strict=True)
            if len(references) < CLIP_FRAMES - 1:
                return head.frame_logits(kept.targets(targets)).float()
            frames = [kept.references(indices) for indices in references]
            return head.clip_logits([*frames, kept.targets(targets)]).float()


class _KeptFrames:
    """The latest frames of a clip: their features, or the images to compute these anew."""

    def __init__(self, model: TemporalSegmentor, keep_features: bool) -> None:
        self._model, self._keep_features = model, keep_features
        self._kept: dict[int, Any] = {}
        self.input_px: Sequence[int] = ()

    def add(self, first: int, images: Sequence[_Image]) -> None:
        """Add consecutive frames, the first of which has the index `first`."""
        if self._keep_features:
            features, self.input_px = self._model.encode(images)
            self._kept.update(enumerate(split_frames(features, len(images)), first))
        else:
            self._kept.update(enumerate(images, first))

    def targets(self, indices: Sequence[int]) -> FrameFeatures:
        """The features of some frames of the latest batch, as a batch."""
        kept = [self._kept[i] for i in indices]
        if self._keep_features:
            return join_frames(kept)
        features, self.input_px = self._model.encode(kept)
        return features

    def references(self, indices: Sequence[int]) -> FrameFeatures:
        """What others read of the features of some frames, as a batch."""
        if self._keep_features:
            return join_frames([as_references(self._kept[i]) for i in indices])
        return self.targets(indices)

    def keep_for(self, index: int) -> None:
        """Forget what no frame from `index` on reads."""
        kept = {i: one for i, one in self._kept.items() if i >= index - REACH_FRAMES}
        if self._keep_features:
            kept = {i: as_references(features) for i, features in kept.items()}
        self._kept = kept
