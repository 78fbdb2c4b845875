"""One window filled: masklets born on some of its frames, followed to its end, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.engines.batched.drawing.drawn import Drawn
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import above, parts_at_frame_size
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.frames import encoded_frames
from sam2vss_lib.masklets.engines.batched.tracker import TrackedFrame, WindowTracker
from sam2vss_lib.masklets.filling.prompting import Prompter
from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.rows import SCHEMA, Table, run_columns
from sam2vss_lib.masklets.runs import encode_runs, no_runs
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.work import Work

_UNBORN = -10.0  # presence of a masklet on frames before its first: stock's of an empty mask


class Birth(NamedTuple):
    """The masklets that begin on one frame."""

    frame: int
    found: Proposals
    parts: Iterator[TrackedFrame]  # from that frame on


@dataclass
class FilledWindow:
    """The new masklets of a window, by birth and then predicted IoU."""

    births: list[Birth] = field(default_factory=list)
    #: by frame, of those that are born: masks, visible parts and scores of presence
    drawn: dict[int, Table] = field(default_factory=dict)
    covered_px: dict[int, int] = field(default_factory=dict)  # by them or old ones, by frame
    work: Work = field(default_factory=Work)

    @property
    def masklets(self) -> int:
        """Number of new masklets."""
        return sum(len(birth.found.masks) for birth in self.births)

    def rows(self, frame: int, first: int, size_px: tuple[int, int]) -> Table:
        """All columns on one frame but `window`, of masklets numbered from `first` on.

        Those that are not born yet are empty.
        """
        drawn = self.drawn.get(frame)
        unborn = self.masklets - (drawn.num_rows if drawn else 0)
        tables = [drawn] if drawn else []
        if unborn:
            nothing = run_columns(no_runs(unborn, size_px))
            tables.append(_table(nothing, nothing["rle"].to_pylist(), np.full(unborn, _UNBORN)))
        table = pa.concat_tables(tables)
        counts = [len(birth.found.masks) for birth in self.births]
        for name, values in {
            "anchor": np.repeat([birth.frame for birth in self.births], counts),
            "masklet": np.arange(first, first + self.masklets),
            "frame": np.full(self.masklets, frame),
            "predicted_iou": np.concatenate([birth.found.predicted_iou for birth in self.births]),
            "stability": np.concatenate([birth.found.stability for birth in self.births]),
        }.items():
            table = table.append_column(name, pa.array(values, SCHEMA.field(name).type))
        return table


class WindowFiller:
    """Fills windows with a model that is prepared once."""

    def __init__(
        self, tracker: WindowTracker, prompter: Prompter, masklets: MaskletSettings
    ) -> None:
        self._tracker, self._prompter, self._masklets = tracker, prompter, masklets

    def fill(
        self,
        clip: Clip,
        births: range,
        old: Mapping[int, NDArray[np.bool_]],
        labels: Callable[[int], Labels | None],
    ) -> FilledWindow:
        """Prompt where nothing covers on the frames of births, and follow what is found.

        `old` says where old masklets are, (H, W), on every frame of the window, by its index in the
        clip; `labels` are what a base model predicts, where its segments prompt. Frames before the
        first that has a place to prompt in are not encoded, and none of a window without any.
        """
        filled, stop = FilledWindow(), max(old) + 1
        looks = [t for t in births if self._prompter.places(old[t], labels(t))]
        current = list[EncodedFrames]()  # what all tracks read next
        for frame in encoded_frames(
            clip,
            self._tracker.model,
            looks,
            precision=self._masklets.precision,
            share_anchors=self._masklets.share_anchor_encoding,
            wanted=range(min(looks, default=stop), stop),
        ):
            t, image = frame.index, frame.image
            filled.work.image_encodings += 1 + (image is not None and image is not frame.video)
            current[:] = [frame.video]
            parts = [next(birth.parts) for birth in filled.births]
            if image is not None:
                covered = _covered_by(parts, old[t])
                places = self._prompter.places(covered, labels(t))
                if places:
                    found, prompts = self._prompter.propose(image, covered, places)
                    filled.work.prompts += prompts
                    if len(found.masks):
                        track = self._tracker.track(lambda _: current[0], found.masks, stop - t)
                        filled.births.append(Birth(t, found, track))
                        parts.append(next(track))
            filled.work.object_frames += sum(len(part.low) for part in parts)
            if parts:
                filled.drawn[t] = _drawn(parts, old[t])
            filled.covered_px[t] = int(np.count_nonzero(_covered_by(parts, old[t])))
        return filled


def _covered_by(parts: Sequence[TrackedFrame], old: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where old or tracked masklets are on a frame, (H, W)."""
    covered = old.copy()
    for part in parts:
        for _, logits in parts_at_frame_size(part.low, part.size_px):
            covered |= above(logits.amax(0)).cpu().numpy()
    return covered


def _drawn(parts: Sequence[TrackedFrame], old: NDArray[np.bool_]) -> Table:
    """Masks of tracked masklets on a frame, and of them what neither old nor other ones hide."""
    starts = np.cumsum([0, *(len(part.low) for part in parts)])
    rows = np.concatenate([part.rows + at for part, at in zip(parts, starts, strict=False)])
    low = torch.cat([part.low for part in parts])
    masks, (seen,) = Drawn(low, parts[0].size_px, [rows], old).runs()
    presence = np.concatenate([part.object_score for part in parts])
    return _table(run_columns(masks).take(rows), encode_runs(seen), presence)


def _table(masks: Table, visible: Sequence[bytes], presence: NDArray[np.floating]) -> Table:
    """The columns that change from frame to frame."""
    for name, values in {"rle_visible": visible, "object_score": presence}.items():
        masks = masks.append_column(name, pa.array(values, SCHEMA.field(name).type))
    return masks
