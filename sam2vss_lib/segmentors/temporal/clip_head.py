"""What the temporal base models (CFFM, MRCFA, TV3S) share: an encoder, and a head over a clip.

A head works in two steps. `frame_features` reads the encoder's stages of one frame; what it gives
is kept, as later frames refer to it. `clip_logits` reads the features of a frame and of its
references.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.segmentors.segformer.mit import MixTransformer
from sam2vss_lib.segmentors.segformer.mlp_decoder import MlpDecoder

#: what a head keeps of a batch of frames: a dataclass of float tensors (B, D, ...) or of tuples of
#: them, `fused` (B, E, h_1, w_1) among them; else the head's own business
FrameFeatures = Any
#: metadata of a field of such a dataclass that is not read of references
TARGET_ONLY = {"target_only": True}

#: of the reference frames to the target, in frames, oldest first
REFERENCE_OFFSETS_FRAMES = (-9, -6, -3)
#: no frame further back is ever read
REACH_FRAMES = -REFERENCE_OFFSETS_FRAMES[0]
#: channels of the stages of a Mix Transformer from B1 on
WIDE = (64, 128, 320, 512)
#: frames of a full clip; shorter ones are one frame, which gets `frame_logits`
CLIP_FRAMES = len(REFERENCE_OFFSETS_FRAMES) + 1
#: the published test code fills up the clips of a video's early frames so
_EARLY_CLIPS = {
    3: (0, 1, 2, 3),
    4: (0, 2, 3, 4),
    5: (0, 2, 4, 5),
    6: (0, 2, 4, 6),
    7: (0, 3, 5, 7),
    8: (0, 3, 6, 8),
}


class TemporalHead(MlpDecoder, ABC):
    """A head with the parameter names of the published checkpoints.

    Maps are finest first. Frames are oldest first: the references, at test time those at -9, -6 and
    -3 frames, and the target. C is the number of classes.
    """

    linear_pred2: nn.Conv2d

    @abstractmethod
    def frame_features(self, stages: Sequence[Tensor]) -> FrameFeatures:
        """What depends on one frame alone, from four maps (B, C_i, h_i, w_i); streams keep it."""

    def fused(self, features: FrameFeatures) -> Tensor:
        """The output of SegFormer's decoder before its classifier: (B, E, h_1, w_1)."""
        return features.fused

    def frame_logits(self, features: FrameFeatures) -> Tensor:
        """Logits of frames by themselves, for want of references: (B, C, h_1, w_1)."""
        return self.classify(self.fused(features))

    @abstractmethod
    def clip_features(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """What the last classifier reads of the targets of full clips: (B, D, h', w')."""

    def final_logits(self, read: Tensor) -> Tensor:
        """The last classifier, from `clip_features`: (B, C, h', w')."""
        return self.linear_pred2(self.dropout(read))

    def clip_logits(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """Logits of the targets of full clips: (B, C, h_1, w_1)."""
        logits = self.final_logits(self.clip_features(frames))
        return resize(logits, self.fused(frames[-1]).shape[-2:])


@runtime_checkable
class CarriesState(Protocol):
    """A head that can also read a clip frame by frame, without references."""

    def new_state(self) -> Any:
        """What is carried from frame to frame, before the first one."""
        ...

    def next_logits(self, features: FrameFeatures, state: Any) -> Tensor:
        """Logits (1, C, h_1, w_1) of a clip's next frame; `state` is changed."""
        ...


def clip_indices(index: int) -> tuple[int, ...]:
    """The frames that the published test code hands to a head for the target of an index, from 0.

    They are its references, oldest first, and itself; for the first three frames itself alone.
    (`prepare_test_img2` of the authors' `custom.py`.)
    """
    if index < CLIP_FRAMES - 1:
        return (index,)
    regular = (*(index + offset for offset in REFERENCE_OFFSETS_FRAMES), index)
    return _EARLY_CLIPS.get(index, regular)


class TemporalNetwork(nn.Module):
    """Encoder and head, under their published names."""

    def __init__(self, backbone: MixTransformer, decode_head: TemporalHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = cast(Any, decode_head)

    @property
    def head(self) -> TemporalHead:
        """The head, with its type."""
        return cast(TemporalHead, self.decode_head)

    def frame_features(self, pixels: Tensor) -> FrameFeatures:
        """What the head keeps of frames given as (B, 3, H, W) normalised images."""
        return self.head.frame_features(self.backbone(pixels))


def join_frames(features: Sequence[FrameFeatures]) -> FrameFeatures:
    """The features of several batches as those of one."""
    return _map_tensors(lambda *tensors: torch.cat(tensors), *features)


def split_frames(features: FrameFeatures, count: int) -> list[FrameFeatures]:
    """The features of a batch of `count` frames one by one; they do not keep the batch alive."""
    return [
        _map_tensors(lambda tensor, i=i: tensor[i : i + 1].clone(), features) for i in range(count)
    ]


def as_references(features: FrameFeatures) -> FrameFeatures:
    """The features of frames that are no targets any more, for less memory.

    What is read of targets only has no channels left, (B, 0, ...).
    """

    def emptied(tensor: Tensor) -> Tensor:
        return tensor.new_empty(len(tensor), 0, *tensor.shape[2:])

    names = [
        field.name for field in fields(features) if TARGET_ONLY.keys() <= field.metadata.keys()
    ]
    return replace(features, **{n: _map_tensors(emptied, getattr(features, n)) for n in names})


def _map_tensors(function: Callable[..., Tensor], *features: FrameFeatures) -> FrameFeatures:
    first = features[0]
    if isinstance(first, Tensor):
        return function(*features)
    if isinstance(first, tuple):
        return tuple(_map_tensors(function, *parts) for parts in zip(*features, strict=True))
    names = [field.name for field in fields(first)]
    parts = {n: _map_tensors(function, *(getattr(f, n) for f in features)) for n in names}
    return type(first)(**parts)
