"""The features of CFFM, MRCFA and TV3S for Eq. 3: of a frame by itself, or with its references."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sam2vss_lib.datasets import Clip
from sam2vss_lib.isam2.encoders.base import Encoder
from sam2vss_lib.segmentors.temporal.clip_head import (
    CLIP_FRAMES,
    REACH_FRAMES,
    FrameFeatures,
    clip_indices,
)
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor
from sam2vss_lib.storage.files import sha256_json

#: `fuse`, the stages fused by the head's decoder, at the encoder's first stride; `c4`, its own
#: last stage; `clip`, what the final classifier reads, which follows from the references too (a
#: frame without references is its own)
TEMPORAL_FEATURES = ("fuse", "c4", "clip")
_TRIAL_PX = 128


def temporal_encoder(model: TemporalSegmentor, feature: str) -> Encoder:
    """What a temporal base model makes of a frame; its device and options are used.

    The stride of `clip` is about right only, as grids may be stretched.
    """
    reader = _Reader(model, feature)
    with torch.inference_mode():
        trial = reader.read_pixels(torch.zeros(1, 3, _TRIAL_PX, _TRIAL_PX, device=model.device))
    options = model.options.identity()
    return Encoder(
        f"{model.name}@{feature}",
        sha256_json(["temporal", model.name, model.checkpoint_sha256, options, feature]),
        dim=trial.shape[0],
        stride=round(_TRIAL_PX / trial.shape[1]),
        forward=lambda image: reader.read_pixels(
            model.network_input(torch.from_numpy(image)[None])
        ),
        in_clip=reader.read_in_clip if feature == "clip" else None,
    )


class _Reader:
    """Reads one feature, (D, h, w), and keeps what later frames of a clip refer to."""

    def __init__(self, model: TemporalSegmentor, feature: str) -> None:
        self._model, self._feature = model, feature
        self._kept = dict[Path, FrameFeatures]()

    def read_pixels(self, pixels: Tensor) -> Tensor:
        """Of a frame by itself, (1, 3, H, W) as the network reads it."""
        network = self._model.network
        with self._model.options.autocast(self._model.device):
            if self._feature == "c4":
                return network.backbone(pixels)[-1][0]
            features = network.frame_features(pixels)
        return self._read([features] * CLIP_FRAMES)

    def read_in_clip(self, clip: Clip, index: int) -> Tensor:
        """Of frame `index` of a clip, with its references."""
        indices = clip_indices(index)
        indices = indices if len(indices) == CLIP_FRAMES else (index,) * CLIP_FRAMES
        return self._read([self._frame_features(clip, i) for i in indices])

    def _read(self, frames: Sequence[FrameFeatures]) -> Tensor:
        if self._feature == "fuse":
            return frames[-1].fused[0]
        with self._model.options.autocast(self._model.device):
            return self._model.network.decode_head.clip_features(frames)[0]

    def _frame_features(self, clip: Clip, index: int) -> FrameFeatures:
        """Those of the last frames are kept: windows are read in the order of time."""
        path = clip.frame_path(index)
        if path not in self._kept:
            if len(self._kept) > REACH_FRAMES:
                del self._kept[next(iter(self._kept))]
            self._kept[path], _ = self._model.encode([clip.frame(index)])
        return self._kept[path]
