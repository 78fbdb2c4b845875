"""Metrics of one clip, frame by frame, so that they can follow what is shown while it is moved."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.metrics.sums import headline_values
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.stores import Choice

Curve = NDArray[np.float64]  # (frames,), NaN where it is not known


@dataclass
class ClipMeasures:
    """The five metrics of a clip and their course over its frames, counted one frame a step.

    Labels are those refined by the choice, or without one of the base predictions themselves, or
    of others that are named.
    """

    data: ExplorerData
    clip: str
    base: str
    choice: Choice | None = None
    name: str | None = None  # of other predictions than the base
    done: int = 0  # frames
    metrics: dict[str, float | None] = field(default_factory=dict)  # of the clip, in percent

    def __post_init__(self) -> None:
        """Nothing is counted yet."""
        classes = self.data.num_classes
        self._suite, self._frames = MetricSuite(classes), MetricSuite(classes, (2,))
        self.frames = self.data.clip(self.clip).num_frames
        self.miou, self.boundary, self.changed = (np.full(self.frames, np.nan) for _ in range(3))

    @property
    def finished(self) -> bool:
        """Whether all frames are counted."""
        return self.done == self.frames

    def step(self) -> None:
        """Count the next frame."""
        frame = self.done
        scene = Scene(self.clip, self.base, frame)
        before = self.data.labels(scene)
        if self.choice is not None:
            after = self.data.refined(scene, self.choice).labels
        else:
            after = self.data.labels(scene, self.name)
        self.changed[frame] = 100 * np.mean(before != after)
        truth = self.data.truth(scene)
        if truth is None:
            self._suite.skip(self.clip)
        else:
            pair = torch.from_numpy(after), torch.from_numpy(truth)
            self._suite.update(self.clip, *pair)
            self._frames.update(f"{frame:09d}", *pair)
            self._frames.finish()
            sums = self._frames.sums.clips.popitem()[1]
            values = headline_values(sums, self._frames.settings)
            self.miou[frame], self.boundary[frame] = (
                100 * float(values[name]) for name in ("mIoU", "mBIoU")
            )
        self.done += 1
        if self.finished and self.data.clip(self.clip).annotated:
            self.metrics = self._suite.compute(samples=1).metrics

    def finish(self) -> ClipMeasures:
        """Count all frames that are left."""
        while not self.finished:
            self.step()
        return self


@dataclass(frozen=True)
class Lives:
    """When masklets are there, by frame of the clip, (frames,) each."""

    present: NDArray[np.int64]  # chosen masklets with any pixel
    births: NDArray[np.int64]  # of these, those that were not on the frame before
    deaths: NDArray[np.int64]  # masklets of the frame before that are not on this one


def lives(data: ExplorerData, clip: str, choice: Choice) -> Lives:
    """Count the chosen masklets that come and go; at the start of a window all are new."""
    opened = data.opened(clip, choice)
    every = FrameMasklets(opened.stored.table)
    alive = opened.kept(every, choice) & (every.values("area") > 0)
    frame, masklet = (every.values(name)[alive].astype(np.int64) for name in ("frame", "masklet"))
    frames, numbers = data.clip(clip).num_frames, int(masklet.max(initial=0)) + 1
    there = frame * numbers + masklet  # one number for a masklet on a frame
    born = ~np.isin(there - numbers, there)
    gone = ~np.isin(there + numbers, there)

    def count(at: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(at, minlength=frames)[:frames]

    return Lives(count(frame), count(frame[born]), count(frame[gone] + 1))
