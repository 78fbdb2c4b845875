"""Video consistency mVC_n, streamed over a clip: run-lengths per pixel serve every window."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.iou import is_labelled, ratio
from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Sums
from sam2vss_lib.metrics.protocol import MetricSettings

RATIO_SUMS = ("vc_code", "vc_eq4")
"""Additive sums: of window ratios (vc_code) and of a clip's mean window ratio (vc_eq4)."""

RATIO_COUNTS = ("vc_code_windows", "vc_eq4_clips")
"""Additive numbers of the terms in them."""


class Consistency(Metric):
    """mVC_n."""

    headline: ClassVar = {"mVC": "vc_code"}
    definitions: ClassVar = {
        "vc_code": "Share of the pixels constant in the ground truth over n frames that are also "
        "constant in the prediction; mean over all windows of all clips but each clip's last one.",
        "vc_eq4": "Eq. 4: share of the labelled pixels constant in the ground truth over n frames "
        "that the prediction gives that label in every frame; mean over windows, then over clips.",
    }

    def __init__(self, settings: MetricSettings) -> None:
        super().__init__(settings)
        self._tracker = ConsistencyTracker(settings.window_lengths)

    @classmethod
    def headline_of(cls, settings: MetricSettings) -> dict[str, str]:
        """One metric for every window length."""
        return {f"mVC{n}": cls.headline["mVC"] for n in settings.window_lengths}

    @classmethod
    def zeros(cls, settings: MetricSettings) -> Sums:
        """`RATIO_SUMS` and `RATIO_COUNTS`, each followed by `_<n>`."""
        found: Sums = {}
        for n in settings.window_lengths:
            found |= {f"{name}_{n}": np.zeros((), np.float64) for name in RATIO_SUMS}
            found |= {f"{name}_{n}": np.zeros((), np.int64) for name in RATIO_COUNTS}
        return found

    @classmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        """See `Metric.values`."""
        return {f"mVC{n}": consistency_values(sums, n) for n in settings.window_lengths}

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int, sparse: bool) -> dict[str, str]:
        """See `Metric.reasons`."""
        needed = "runs of annotated frames" if sparse else "clips"
        return {
            f"mVC{n}": f"windows of {n} frames need longer {needed}, the longest has "
            f"{longest_frames} frames"
            if longest_frames <= n
            else f"no pixel of the ground truth keeps its label over {n} frames"
            for n in settings.window_lengths
        }

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """Nothing per class: (0, C); windows are counted in the tracker."""
        self._tracker.update(prediction, ground_truth)
        shape = (0, self.settings.num_classes)
        return torch.zeros(shape, dtype=torch.int64, device=ground_truth.device)

    def add(self, counts: NDArray[np.int64]) -> None:
        """Nothing per class."""

    def skip(self) -> None:
        """No window that this frame belongs to counts."""
        self._tracker.skip()

    def sums(self) -> Sums:
        """The clip's sums."""
        return {name: np.asarray(value) for name, value in self._tracker.sums().items()}


class ConsistencyTracker:
    """Consistency of one clip for any number of window lengths, in one pass over its frames.

    A pixel is constant over the n frames that end now iff its label has been the same for at least
    n frames. So three run-lengths per pixel replace the stack of frames: of the ground-truth
    label, of the predicted label, and of frames in which both are one and the same class.
    """

    def __init__(self, window_lengths: tuple[int, ...]) -> None:
        """Start a clip.

        Args:
            window_lengths: window lengths n in frames.
        """
        self._window_lengths = window_lengths
        self._frames = 0
        self._previous: tuple[Tensor, Tensor] | None = None
        self._runs: tuple[Tensor, ...] = ()
        self._code: dict[int, list[float]] = {n: [] for n in window_lengths}
        self._eq4: dict[int, list[float]] = {n: [] for n in window_lengths}

    def update(self, prediction: Tensor, ground_truth: Tensor) -> None:
        """Add the clip's next frame.

        Args:
            prediction: (H, W) uint8, classes 0..C-1 or 255 (a label like any other in vc_code).
            ground_truth: (H, W) uint8, classes 0..C-1 or 255 (void).
        """
        self._lengthen_runs(prediction, ground_truth)
        self._frames += 1
        complete = [n for n in self._window_lengths if n <= self._frames]
        if complete:
            counts = torch.stack([self._window_counts(n, ground_truth) for n in complete])
            for n, window in zip(complete, counts.cpu().numpy(), strict=True):
                constant, kept, labelled, correct = window
                self._code[n].append(float(ratio(kept, constant)))
                self._eq4[n].append(float(ratio(correct, labelled)))

    def skip(self) -> None:
        """Pass over the clip's next frame, which has no ground truth.

        Runs start anew behind it, so that no window around it has a constant pixel; such windows
        (0/0) count in neither definition.
        """
        self._previous = None
        self._frames += 1
        for n in self._window_lengths:
            if n <= self._frames:
                self._code[n].append(np.nan)
                self._eq4[n].append(np.nan)

    def _lengthen_runs(self, prediction: Tensor, ground_truth: Tensor) -> None:
        """Bring the run-lengths, (H, W) int16 each, to the new frame."""
        correct = (prediction == ground_truth) & is_labelled(ground_truth)
        if self._previous is None:
            once = torch.ones_like(ground_truth, dtype=torch.int16)
            self._runs = (once, once.clone(), correct.to(torch.int16))
        else:
            previous_prediction, previous_truth = self._previous
            same_truth = ground_truth == previous_truth
            same = (same_truth, prediction == previous_prediction, same_truth)
            # Beyond the longest window the length of a run is of no interest: no overflow.
            longest = max(self._window_lengths)
            self._runs = tuple(
                (run * keep + 1).clamp_(max=longest)
                for run, keep in zip(self._runs, same, strict=True)
            )
            self._runs[2].mul_(correct)
        self._previous = (prediction.clone(), ground_truth.clone())

    def _window_counts(self, window_frames: int, ground_truth: Tensor) -> Tensor:
        """Pixels of the window ending now: (4,) int64.

        They are: constant ground truth; both constant; constant class; and constant class that
        the prediction has in every frame.
        """
        constant = self._runs[0] >= window_frames
        return torch.stack(
            [
                torch.count_nonzero(constant),
                torch.count_nonzero(constant & (self._runs[1] >= window_frames)),
                torch.count_nonzero(constant & is_labelled(ground_truth)),
                torch.count_nonzero(self._runs[2] >= window_frames),
            ]
        )

    def sums(self) -> dict[str, Any]:
        """The clip's share of the additive sums, once all its frames have been given.

        Returns:
            `RATIO_SUMS` as floats and `RATIO_COUNTS` as integers, each followed by `_<n>`.
            A window without any pixel to judge (0/0) is left out of both.
        """
        sums: dict[str, Any] = {}
        for n in self._window_lengths:
            # The published script runs over range(C - n): the last window of a clip is not used.
            code = _defined(self._code[n][:-1])
            eq4 = _defined(self._eq4[n])
            sums[f"vc_code_{n}"] = code.sum()
            sums[f"vc_code_windows_{n}"] = len(code)
            sums[f"vc_eq4_{n}"] = eq4.mean() if len(eq4) else 0.0
            sums[f"vc_eq4_clips_{n}"] = int(len(eq4) > 0)
        return sums


def _defined(ratios: list[float]) -> Floats:
    """The ratios that are not 0/0."""
    values = np.array(ratios, dtype=np.float64)
    return values[~np.isnan(values)]


def consistency_values(sums: AnySums, window_frames: int) -> dict[str, Floats]:
    """Both definitions of mVC_n from summed sums.

    Args:
        sums: `RATIO_SUMS` and `RATIO_COUNTS` (...), each followed by `_<n>`.
        window_frames: n.

    Returns:
        `vc_code` and `vc_eq4` (...) float64 in 0..1; NaN without any window.
    """
    return {
        name: ratio(sums[f"{name}_{window_frames}"], sums[f"{count}_{window_frames}"])
        for name, count in zip(RATIO_SUMS, RATIO_COUNTS, strict=True)
    }
