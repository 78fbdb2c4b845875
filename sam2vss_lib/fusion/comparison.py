"""An arbiter beside the adaptive vote and the window vote, on clips that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from sam2vss_lib.datasets import Clip
from sam2vss_lib.fusion.arbiter import Arbiter
from sam2vss_lib.fusion.evidence import gather
from sam2vss_lib.fusion.rules import adaptive, learned
from sam2vss_lib.fusion.rules.kept import kept_places
from sam2vss_lib.metrics import Gain, MetricSuite, paired_gain
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.window import Window

_RULES = ("masklet", "adaptive", "learned")


class Comparison:
    """Metrics of three rules, frame by frame; all clips of all base models are counted as clips."""

    def __init__(self, num_classes: int) -> None:
        self._suites = {rule: MetricSuite(num_classes) for rule in _RULES}

    def add(
        self, clip: Clip, base: PredictionFolder, windows: Iterable[Window], arbiter: Arbiter
    ) -> None:
        """Count the annotated frames of a clip, whose evidence is gathered once for all."""
        labels = {index: dict[str, Any]() for index in clip.annotated}
        for window in windows:
            evidence = gather(window, {*arbiter.columns, *adaptive.WEIGHTS})
            kept = {
                "adaptive": kept_places(evidence, adaptive.score, adaptive.MARGIN),
                "learned": kept_places(
                    evidence, lambda frame: arbiter.logits(frame.columns), learned.MARGIN
                ),
            }
            for index, part in enumerate(window.parts):
                if part.frame not in labels:
                    continue
                voted, own = window.painted(index, evidence.classes), window.labels(index)
                labels[part.frame]["masklet"] = voted
                for rule, places in kept.items():
                    labels[part.frame][rule] = voted.copy()
                    labels[part.frame][rule].ravel()[places[index]] = own.ravel()[places[index]]
        name = f"{base.root.name}/{clip.name}"
        for index in range(clip.num_frames):
            for rule, suite in self._suites.items():
                if index not in labels:
                    suite.skip(name)
                    continue
                found = labels[index].get(rule)
                painted = base.read(clip, index) if found is None else np.ascontiguousarray(found)
                truth = clip.ground_truth(index)
                suite.update(name, torch.from_numpy(painted), torch.from_numpy(truth))

    def results(self) -> dict[str, Any]:
        """Gains of the arbiter with their paired intervals, and the rule to be recommended."""
        window, adapted, fitted = (self._suites[rule] for rule in _RULES)
        over = {
            "gain_over_masklet": paired_gain(window, fitted),
            "gain_over_adaptive": paired_gain(adapted, fitted),
        }
        gain = over["gain_over_adaptive"]["mIoU"]
        better = gain.low is not None and gain.low > 0
        found: dict[str, Any] = {name: _plain(gains) for name, gains in over.items()}
        return {**found, "recommended": "learned" if better else "adaptive"}


def _plain(gains: dict[str, Gain]) -> dict[str, list[float | None]]:
    """Gain and interval of each metric, in points."""
    return {
        metric: [None if v is None else round(v, 2) for v in (gain.gain, gain.low, gain.high)]
        for metric, gain in gains.items()
    }
