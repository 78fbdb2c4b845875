"""Video consistency mVC_n, streamed over a clip: run-lengths per pixel serve every window."""

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.metrics.iou import is_labelled, ratio
from sam2vss_lib.metrics.metric import AnySums, Floats, Metric, Sums
from sam2vss_lib.metrics.protocol import MetricSettings

#: additive sums: of window ratios (vc_code) and of a clip's mean window ratio (vc_eq4); and the
#: number of the terms in each
RATIOS = {"vc_code": "vc_code_windows", "vc_eq4": "vc_eq4_clips"}


class _Runs(NamedTuple):
    """For how many frames each pixel has been as it is, (H, W) uint8 or int16."""

    truth: Tensor  # the same label in the ground truth
    prediction: Tensor  # the same label in the prediction
    correct: Tensor  # one and the same class in both


class Consistency(Metric):
    """mVC_n, for any number of window lengths in one pass over a clip's frames.

    A pixel is constant over the n frames that end now iff its label has been the same for at least
    n frames. So three run-lengths per pixel replace the stack of frames.
    """

    headline: ClassVar = {"mVC": "vc_code"}
    definitions: ClassVar = {
        "vc_code": "Share of the pixels constant in the ground truth over n frames that are also "
        "constant in the prediction; mean over all windows of all clips but each clip's last one.",
        "vc_eq4": "Eq. 4: share of the labelled pixels constant in the ground truth over n frames "
        "that the prediction gives that label in every frame; mean over windows, then over clips.",
    }

    def __init__(self, settings: MetricSettings) -> None:
        super().__init__(settings)
        self._frames = 0
        self._before: tuple[Tensor, Tensor, _Runs] | None = None
        self._ratios: dict[str, list[float]] = {
            f"{name}_{n}": [] for name in RATIOS for n in settings.window_lengths
        }

    @classmethod
    def headline_of(cls, settings: MetricSettings) -> dict[str, str]:
        """One metric for every window length."""
        return {f"mVC{n}": cls.headline["mVC"] for n in settings.window_lengths}

    @classmethod
    def zeros(cls, settings: MetricSettings) -> Sums:
        """Of each of `RATIOS` the sum and the number of its terms, both followed by `_<n>`."""
        found: Sums = {}
        for n in settings.window_lengths:
            found |= {f"{name}_{n}": np.zeros((), np.float64) for name in RATIOS}
            found |= {f"{terms}_{n}": np.zeros((), np.int64) for terms in RATIOS.values()}
        return found

    @classmethod
    def values(cls, sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
        """See `Metric.values`."""
        return {
            f"mVC{n}": {
                name: ratio(sums[f"{name}_{n}"], sums[f"{terms}_{n}"])
                for name, terms in RATIOS.items()
            }
            for n in settings.window_lengths
        }

    @classmethod
    def reasons(cls, settings: MetricSettings, longest_frames: int) -> dict[str, str]:
        """See `Metric.reasons`."""
        return {
            f"mVC{n}": f"windows of {n} frames need longer clips, the longest has {longest_frames} "
            "frames"
            if longest_frames <= n
            else f"no pixel of the ground truth keeps its label over {n} frames"
            for n in settings.window_lengths
        }

    def count(self, prediction: Tensor, ground_truth: Tensor) -> Tensor:
        """Nothing per class: (0, C); windows that end with this frame are counted here."""
        labelled = is_labelled(ground_truth)
        runs = self._runs(prediction, ground_truth, labelled)
        self._before = (prediction.clone(), ground_truth.clone(), runs)
        self._frames += 1
        complete = [n for n in self.settings.window_lengths if n <= self._frames]
        if complete:
            counts = torch.stack([_window_counts(runs, n, labelled) for n in complete])
            for n, window in zip(complete, counts.cpu().numpy(), strict=True):
                constant, kept, labelled, correct = window
                self._ratios[f"vc_code_{n}"].append(float(ratio(kept, constant)))
                self._ratios[f"vc_eq4_{n}"].append(float(ratio(correct, labelled)))
        shape = (0, self.settings.num_classes)
        return torch.zeros(shape, dtype=torch.int64, device=ground_truth.device)

    def _runs(self, prediction: Tensor, ground_truth: Tensor, labelled: Tensor) -> _Runs:
        """The run-lengths that end with this frame."""
        correct = (prediction == ground_truth) & labelled
        longest = max(self.settings.window_lengths)
        if self._before is None:
            dtype = torch.uint8 if longest < 255 else torch.int16  # half the memory to go through
            once = torch.ones_like(ground_truth, dtype=dtype)
            return _Runs(once, once, correct.to(dtype))
        before, truth_before, runs = self._before
        same_truth = ground_truth == truth_before
        same = _Runs(same_truth, prediction == before, same_truth)
        # Beyond the longest window the length of a run is of no interest: no overflow.
        runs = _Runs(
            *((run * keep + 1).clamp_(max=longest) for run, keep in zip(runs, same, strict=True))
        )
        runs.correct.mul_(correct)
        return runs

    def add(self, counts: NDArray[np.int64]) -> None:
        """Nothing per class."""

    def skip(self) -> None:
        """Runs start anew behind the frame, so no window around it has a constant pixel (0/0)."""
        self._before = None
        self._frames += 1
        for n in (n for n in self.settings.window_lengths if n <= self._frames):
            for name in RATIOS:
                self._ratios[f"{name}_{n}"].append(np.nan)

    def sums(self) -> Sums:
        """The clip's sums; a window without any pixel to judge (0/0) is in none of them."""
        sums: dict[str, Any] = {}
        for n in self.settings.window_lengths:
            # The published script runs over range(C - n): the last window of a clip is not used.
            code = _defined(self._ratios[f"vc_code_{n}"][:-1])
            sums[f"vc_code_{n}"] = code.sum()
            sums[f"vc_code_windows_{n}"] = len(code)
            eq4 = _defined(self._ratios[f"vc_eq4_{n}"])
            sums[f"vc_eq4_{n}"] = eq4.mean() if len(eq4) else 0.0
            sums[f"vc_eq4_clips_{n}"] = int(len(eq4) > 0)
        return {name: np.asarray(value) for name, value in sums.items()}


def _window_counts(runs: _Runs, window_frames: int, labelled: Tensor) -> Tensor:
    """Pixels of the window ending now: (4,) int64.

    They are: constant ground truth; both constant; constant class; and constant class that the
    prediction has in every frame.
    """
    constant, unchanged, correct = (run >= window_frames for run in runs)
    pixels = (constant, constant & unchanged, constant & labelled, correct)
    return torch.stack([torch.count_nonzero(counted) for counted in pixels])


def _defined(ratios: list[float]) -> Floats:
    """The ratios that are not 0/0."""
    values = np.array(ratios, dtype=np.float64)
    return values[~np.isnan(values)]
