"""The masklets that are there before a fill, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.masklets.runs import covered_by
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import FILL, FrameMasklets, MaskletStore
from sam2vss_lib.storage.records import check_same_inputs


@dataclass(frozen=True)
class OldWindow:
    """A window of a clip, with or without masklets."""

    index: int
    frames: range
    parts: Sequence[FrameMasklets]  # frame by frame; none of a window without masklets

    def covered(self, size_px: tuple[int, int]) -> dict[int, NDArray[np.bool_]]:
        """Where any masklet is, (H, W), by frame."""
        if not self.parts:
            return {t: np.zeros(size_px, bool) for t in self.frames}
        return {part.frame: covered_by(part.runs()) for part in self.parts}


@dataclass(frozen=True)
class OldMasklets:
    """What a clip has of masklets."""

    windows: Sequence[OldWindow]  # all of the clip
    next_masklet: int  # a number above those of all
    made_from: dict[str, Any]


def old_masklets(source: MaskletStore | None, clip: Clip, settings: MaskletSettings) -> OldMasklets:
    """What a store, if there is one, has of a clip's masklets.

    Raises:
        DataError: it has none of this clip or of its very frames, they were made with other
            settings or are filled already, or a window has rows on other frames than its own.
    """
    starts = range(0, clip.num_frames, settings.window)
    spans = [range(start, min(start + settings.window, clip.num_frames)) for start in starts]
    if source is None:
        return OldMasklets([OldWindow(i, span, ()) for i, span in enumerate(spans)], 0, {})
    path, made_from = source.path(clip.name), source.metadata(clip.name)
    if FILL in made_from:
        raise FileFault(path, "is filled already", "fill the store that it was made from")
    check_same_inputs(
        path,
        {"settings": made_from["settings"]},
        {"settings": settings.identity()},
        "give the settings that these masklets were made with",
    )
    stored = source.open(clip, overlap="logit")
    parts = {int(found[0].values("window")[0]): found for found in stored.windows()}
    for index, found in parts.items():
        if not 0 <= index < len(spans) or [part.frame for part in found] != [*spans[index]]:
            raise FileFault(
                path,
                f"window {index} has rows on other frames than its {settings.window}",
                "make these masklets again by sam2vss masklets",
            )
    windows = [OldWindow(i, span, parts.get(i, ())) for i, span in enumerate(spans)]
    numbers = stored.table["masklet"].to_numpy()
    return OldMasklets(windows, int(numbers.max(initial=-1)) + 1, made_from)
