"""What refinement changed in a clip, counted frame by frame: where, from which class to which."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID, Labels

_LABELS = 256
_APART = 8  # parts of the clip: pictures of it are at least one such part apart


def _zeros() -> NDArray[np.int64]:
    return np.zeros((_LABELS, _LABELS), np.int64)


@dataclass
class Changes:
    """Counts in pixels, over the frames that were added so far."""

    moves: NDArray[np.int64] = field(default_factory=_zeros)  # (256, 256), by label before, after
    # of each frame: pixels changed, and of these, where there is ground truth, now right, now wrong
    frames: list[dict[str, int]] = field(default_factory=list[dict[str, int]])

    def add(self, before: Labels, after: Labels, truth: Labels | None) -> dict[str, int]:
        """Count the next frame, labels being (H, W) uint8; its own counts are returned."""
        pairs = before.astype(np.int64) * _LABELS + after
        self.moves += np.bincount(pairs.ravel(), minlength=_LABELS**2).reshape(self.moves.shape)
        changed = before != after
        counts = {"changed": int(changed.sum())}
        if truth is not None:
            changed &= truth != VOID
            counts["better"] = int((changed & (after == truth)).sum())
            counts["worse"] = int((changed & (before == truth)).sum())
        self.frames.append(counts)
        return counts

    def most_changed(self, count: int = 3) -> list[int]:
        """The frames with the most changed pixels, no two of them close to each other."""
        chosen: list[int] = []
        apart = max(1, len(self.frames) // _APART)
        for i in sorted(range(len(self.frames)), key=lambda i: -self.frames[i]["changed"]):
            far = all(abs(i - other) >= apart for other in chosen)
            if len(chosen) < count and far and self.frames[i]["changed"]:
                chosen.append(i)
        return sorted(chosen)

    def to_dict(self) -> dict[str, Any]:
        """All counts as JSON-able values; of the moves those that occur, as [from, to, pixels]."""
        found = np.argwhere(self.moves)
        moves = [[int(a), int(b), int(self.moves[a, b])] for a, b in found]
        return {"pixels": int(self.moves.sum()), "frames": self.frames, "moves": moves}
