"""One pass over the frames for all metrics: validate, count, merge, compute."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam2vss_lib.errors import DataError
from sam2vss_lib.metrics.iou import is_labelled
from sam2vss_lib.metrics.metric import Sums
from sam2vss_lib.metrics.protocol import MetricSettings
from sam2vss_lib.metrics.registry import metric_kinds
from sam2vss_lib.metrics.result import MetricsResult, build_result
from sam2vss_lib.metrics.sums import COVERAGE, ClipSums


class MetricSuite:
    """Streaming mIoU, FWIoU, mBIoU and mVC_n, in all definitions of the protocol.

    Only sums per clip are kept, so shards of a data set can be evaluated anywhere, in any order,
    and merged to the same result to the last bit.

    Example:
        >>> suite = MetricSuite(num_classes=2, window_lengths=(2,))
        >>> frame = torch.tensor([[0, 0, 1, 1]], dtype=torch.uint8)
        >>> for _ in range(3):
        ...     suite.update("clip", prediction=frame, ground_truth=frame)
        >>> suite.compute().metrics
        {'mIoU': 100.0, 'FWIoU': 100.0, 'mBIoU': 100.0, 'mVC2': 100.0}
    """

    def __init__(
        self,
        num_classes: int,
        window_lengths: Iterable[int] = (8, 16),
        radii_px: Iterable[int] = (2, 5),
        frame_edge_is_boundary: bool = False,
    ) -> None:
        """Start without any clip.

        Arguments, and what is wrong with them, are those of `MetricSettings`.
        """
        self.settings = MetricSettings(
            num_classes, tuple(window_lengths), tuple(radii_px), frame_edge_is_boundary
        )
        self._finished = ClipSums(self.settings)
        self._current: _ClipCounter | None = None

    def update(self, clip: str, prediction: Tensor, ground_truth: Tensor) -> None:
        """Count the next frame of a clip; the first frame of another clip finishes this one.

        Both maps are (H, W) uint8, classes 0..C-1 or 255 (unlabelled, void), on one device.

        Raises:
            DataError: a clip comes back after another or after `finish`; a map has a wrong shape,
                size, dtype or device, or a label out of range. Nothing is counted then.
        """
        current = self._counter(clip)
        current.check(prediction, ground_truth)
        self._go_on_with(current)
        current.count(prediction, ground_truth)

    def skip(self, clip: str) -> None:
        """Pass over the next frame of a clip, which has no ground truth.

        It is not scored, and no window of mVC_n that it belongs to counts.

        Raises:
            DataError: the clip comes back after another or after `finish`.
        """
        current = self._counter(clip)
        self._go_on_with(current)
        current.skip()

    def _counter(self, clip: str) -> _ClipCounter:
        """The counter under way if it is of this clip, else a new one."""
        if self._current is not None and self._current.clip == clip:
            return self._current
        if clip in self._finished.clips:
            raise DataError(f"clip {clip}: finished before, its frames must come in one run")
        return _ClipCounter(clip, self.settings)

    def _go_on_with(self, counter: _ClipCounter) -> None:
        """Finish the clip under way unless the counter is its own."""
        if counter is not self._current:
            self.finish()
            self._current = counter

    def finish(self) -> None:
        """Finish the clip under way; everything that reads the suite does so by itself."""
        if self._current is not None:
            self._finished.clips[self._current.clip] = self._current.finished_sums()
            self._current = None

    @property
    def sums(self) -> ClipSums:
        """The sums of all clips; finishes the clip under way."""
        self.finish()
        return self._finished

    def merge(self, other: MetricSuite) -> None:
        """Take in the clips of another suite; finishes the clips under way in both.

        Raises:
            SettingsError: the suites have different settings.
            DataError: a clip is in both.
        """
        self.sums.merge(other.sums)

    def compute(self, samples: int = 2000, seed: int = 0) -> MetricsResult:
        """Compute every value, with intervals by a bootstrap; finishes the clip under way.

        Raises:
            SettingsError: `samples` is below 1.
        """
        return build_result(self.sums, samples, seed)

    def save(self, path: Path) -> None:
        """Write the per-clip sums as one `.npz`, whole or not at all; finishes the clip."""
        self.sums.save(path)

    @classmethod
    def load(cls, path: Path) -> MetricSuite:
        """Read a suite written by `save`; it can be updated, merged and compared further.

        Raises:
            DataError: the file is missing, damaged, or of another version.
        """
        sums = ClipSums.load(path)
        suite = cls(**vars(sums.settings))
        suite.sums.merge(sums)
        return suite


class _ClipCounter:
    """The clip under way: its sums so far and the state of its windows."""

    def __init__(self, clip: str, settings: MetricSettings) -> None:
        self.clip = clip
        self._settings = settings
        self._frames = self._annotated = self._run = self._longest_run = 0
        self._metrics = [kind(settings) for kind in metric_kinds()]
        self._size: torch.Size | None = None

    def check(self, prediction: Tensor, ground_truth: Tensor) -> None:
        """Raise a DataError naming clip and frame unless both maps fit the clip."""
        place = f"clip {self.clip}, frame {self._frames}"
        size = ground_truth.shape if self._size is None else self._size
        for name, labels in (("ground truth", ground_truth), ("prediction", prediction)):
            if labels.dtype != torch.uint8:
                raise DataError(f"{place}: {name} is {labels.dtype}, expected torch.uint8")
            if labels.ndim != 2 or labels.numel() == 0 or labels.shape != size:
                expected = f"(H, W) = {tuple(size)}" if len(size) == 2 else "(H, W)"
                raise DataError(f"{place}: {name} has shape {tuple(labels.shape)}, not {expected}")
            if labels.device != ground_truth.device:
                raise DataError(f"{place}: {name} and ground truth are on different devices")
            first_wrong = torch.full_like(labels, self._settings.num_classes)
            wrong = (labels >= first_wrong) & is_labelled(labels)
            if wrong.any():
                first, last = int(labels[wrong][0]), self._settings.num_classes - 1
                raise DataError(f"{place}: {name} has label {first}, not 0..{last} or 255")
        self._size = size

    def count(self, prediction: Tensor, ground_truth: Tensor) -> None:
        """Add one frame; all counts reach the host in one piece."""
        counts = [metric.count(prediction, ground_truth) for metric in self._metrics]
        on_host = torch.cat(counts).cpu()
        for metric, own in zip(self._metrics, on_host.split([*map(len, counts)]), strict=True):
            metric.add(own.numpy())
        self._frames += 1
        self._annotated += 1
        self._run += 1
        self._longest_run = max(self._longest_run, self._run)

    def skip(self) -> None:
        """Pass over one frame."""
        for metric in self._metrics:
            metric.skip()
        self._frames += 1
        self._run = 0

    def finished_sums(self) -> Sums:
        """The clip's sums."""
        coverage = (self._frames, self._annotated, self._longest_run)
        found: Sums = dict(zip(("frames", *COVERAGE), map(np.array, coverage), strict=True))
        for metric in self._metrics:
            found |= metric.sums()
        return found
