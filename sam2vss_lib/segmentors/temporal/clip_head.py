"""What the temporal base models (CFFM, MRCFA, TV3S) share: an encoder, and a head over a clip.

A head works in two steps. `frame_features` reads the encoder's stages of one frame; what it gives
is kept, as later frames refer to it. `clip_logits` reads the features of a frame and of its
references.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam2vss_lib.segmentors.mit import MixTransformer
from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.segmentors.segformer.mlp_decoder import MlpDecoder

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


@dataclass(frozen=True)
class FrameFeatures:
    """What a head needs of a batch of frames, whatever the other frames are."""

    # float tensors (B, D, ...) that are not read of references: first all stages fused, (B, E, h_1,
    # w_1), then the head's own
    target: tuple[Tensor, ...]
    shared: tuple[Tensor, ...]  # those that are read of references too

    @property
    def fused(self) -> Tensor:
        """The output of SegFormer's decoder before its classifier: (B, E, h_1, w_1)."""
        return self.target[0]


class TemporalHead(MlpDecoder, ABC):
    """A head with the parameter names of the published checkpoints.

    Maps are finest first. Frames are oldest first: the references, at test time those at -9, -6 and
    -3 frames, and the target. C is the number of classes.
    """

    linear_pred2: nn.Conv2d

    @abstractmethod
    def frame_features(self, stages: Sequence[Tensor]) -> FrameFeatures:
        """What depends on one frame alone, from four maps (B, C_i, h_i, w_i); streams keep it."""

    def frame_logits(self, features: FrameFeatures) -> Tensor:
        """Logits of frames by themselves, for want of references: (B, C, h_1, w_1)."""
        return self.classify(features.fused)

    @abstractmethod
    def clip_features(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """What the last classifier reads of the targets of full clips: (B, D, h', w')."""

    def final_logits(self, read: Tensor) -> Tensor:
        """The last classifier, from `clip_features`: (B, C, h', w')."""
        return self.linear_pred2(self.dropout(read))

    def clip_logits(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """Logits of the targets of full clips: (B, C, h_1, w_1)."""
        logits = self.final_logits(self.clip_features(frames))
        return resize(logits, frames[-1].fused.shape[-2:])


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
        self.backbone, self.decode_head = backbone, decode_head
        self.config = backbone.config

    def frame_features(self, pixels: Tensor) -> FrameFeatures:
        """What the head keeps of frames given as (B, 3, H, W) normalised images."""
        return self.decode_head.frame_features(self.backbone(pixels))


def join_frames(features: Sequence[FrameFeatures]) -> FrameFeatures:
    """The features of several batches as those of one."""
    targets = zip(*(one.target for one in features), strict=True)
    shared = zip(*(one.shared for one in features), strict=True)
    return FrameFeatures(tuple(map(torch.cat, targets)), tuple(map(torch.cat, shared)))


def split_frames(features: FrameFeatures, count: int) -> list[FrameFeatures]:
    """The features of a batch of `count` frames one by one; they do not keep the batch alive."""

    def part(tensors: tuple[Tensor, ...], i: int) -> tuple[Tensor, ...]:
        return tuple(tensor[i : i + 1].clone() for tensor in tensors)

    return [FrameFeatures(part(features.target, i), part(features.shared, i)) for i in range(count)]


def as_references(features: FrameFeatures) -> FrameFeatures:
    """The features of frames that are no targets any more, for less memory.

    What is read of targets only has no channels left, (B, 0, ...).
    """
    emptied = (tensor.new_empty(len(tensor), 0, *tensor.shape[2:]) for tensor in features.target)
    return FrameFeatures(tuple(emptied), features.shared)
