"""TV3S: a state space model over windows of the frames of a clip.

Hesham et al., "Exploiting Temporal State Space Sharing for Video Semantic Segmentation", CVPR 2025,
with the semantics of the published code where the paper leaves them open (`TV3SHead_shift` of
https://github.com/Ashesham/TV3S). Names of parameters are those of its checkpoints.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from torch import Tensor, nn

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.pixels import resize
from sam2vss_lib.segmentors.temporal.clip_head import WIDE, FrameFeatures, TemporalHead
from sam2vss_lib.segmentors.temporal.state_space import BlockState, WindowedBlocks

#: arguments of `Tv3sHead` for the published encoders; all others have their defaults
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "mit_b1": {"in_channels": WIDE},
    "mit_b2": {"in_channels": WIDE},
    "mit_b5": {"in_channels": WIDE},
}


class Tv3sHead(TemporalHead):
    """The head of TV3S on a Mix Transformer.

    It reads a target with its references, as CFFM and MRCFA do (the published mode 0), or frame
    after frame with a state: fresh for every frame (mode 1), or carried along the clip (mode 2).
    As cells are scanned frame by frame, carrying the state through a clip is the same as reading
    all its frames at once.

    Args (others as of `MlpDecoder`):
        window: side of a window in cells of the grid.
        shift: of the windows of every second block, in cells.
        depth: Mamba blocks.
        state_dim: numbers that a scan keeps per channel.
        expand: channels inside a block over E.
        reduction: of the sides of the fused map before they are stretched; published is 2.

    Raises:
        SettingsError: `shift` is not within 0 and `window`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = WIDE,
        num_classes: int = 124,
        embed_dim: int = 256,
        *,
        window: int = 20,
        shift: int = 10,
        depth: int = 8,
        state_dim: int = 16,
        expand: int = 2,
        dropout: float = 0.1,
        reduction: int = 2,
    ) -> None:
        if not 0 <= shift < window:
            raise SettingsError(f"shift {shift} is not within 0..{window - 1}")
        super().__init__(in_channels, num_classes, embed_dim, dropout)
        self._window, self._reduction = window, reduction
        self.vs = WindowedBlocks(embed_dim, depth, window, shift, state_dim, expand)
        self.linear_pred2 = nn.Conv2d(embed_dim, num_classes, 1)

    def frame_features(self, stages: Sequence[Tensor]) -> FrameFeatures:
        """The fused stages, and for all frames the same as a grid, (B, h, w, E).

        The grid has about half the size, in whole windows, channels last.
        """
        fused = self.fuse(stages)
        # Stretched, not padded, to whole windows.
        sides = [side // self._reduction for side in fused.shape[2:]]
        size = [max(1, ceil(side / self._window)) * self._window for side in sides]
        grid = resize(fused, size).permute(0, 2, 3, 1).contiguous()
        return FrameFeatures((fused,), (grid,))

    def clip_features(self, frames: Sequence[FrameFeatures]) -> Tensor:
        """Of the target, (B, E, h, w); any number of frames that follow each other will do."""
        return self._mix(frames, self.new_state())

    def new_state(self) -> list[BlockState]:
        """The state before a clip's first frame."""
        return self.vs.new_state()

    def next_logits(self, features: FrameFeatures, state: list[BlockState]) -> Tensor:
        """Logits (B, C, h_1, w_1) of the next frame of B clips; `state` is brought up to date."""
        logits = self.final_logits(self._mix([features], state))
        return resize(logits, features.fused.shape[2:])

    def _mix(self, frames: Sequence[FrameFeatures], state: list[BlockState]) -> Tensor:
        return self.vs([frame.shared[0] for frame in frames], state)
