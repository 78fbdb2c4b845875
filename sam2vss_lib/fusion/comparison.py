"""Rules that weigh evidence, side by side on labelled clips, from one pass over the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.fusion.evidence import gather
from sam2vss_lib.fusion.rules.kept import Score, kept_places
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.window import Window

WINDOW_VOTE = "window vote"


class Weighed(NamedTuple):
    """A way to weigh evidence."""

    columns: tuple[str, ...]  # of the evidence
    score: Score
    margin: float
    in_time: bool = True  # whether scores are made steady
    gated: bool = False  # whether clips whose masklets deserve no trust are kept as they are


def compare(
    clip: Clip,
    base: PredictionFolder,
    windows: Iterable[Window],
    ways: Mapping[str, Weighed],
    suites: Mapping[str, MetricSuite],
    name: str | None = None,
) -> None:
    """Count the labels of a clip, by default under its name, in the suites of all ways.

    The window vote is counted as `WINDOW_VOTE`; only annotated frames are scored. All windows are
    to have one `trust`.
    """
    labels: dict[int, dict[str, Labels]] = {index: {} for index in clip.annotated}
    columns = dict.fromkeys(column for way in ways.values() for column in way.columns)
    trusted = True
    for window in windows:
        evidence = gather(window, columns)
        kept = {
            key: kept_places(evidence, way.score, way.margin, in_time=way.in_time)
            for key, way in ways.items()
        }
        trusted = window.trust.trusted
        for index, part in enumerate(window.parts):
            if part.frame not in labels:
                continue
            known, own = evidence.frames[index].voted, window.labels(index)
            voted = window.painted(index, evidence.classes, known)
            labels[part.frame][WINDOW_VOTE] = voted
            for key, places in kept.items():
                labels[part.frame][key] = voted.copy()
                labels[part.frame][key].ravel()[places[index]] = own.ravel()[places[index]]
    for index in range(clip.num_frames):
        if index not in labels:
            for suite in suites.values():
                suite.skip(name or clip.name)
            continue
        own = base.read(clip, index)
        truth = torch.from_numpy(clip.ground_truth(index))
        for key, suite in suites.items():
            gated = key in ways and ways[key].gated and not trusted
            found = own if gated else labels[index].get(key, own)
            suite.update(name or clip.name, torch.from_numpy(np.ascontiguousarray(found)), truth)
    for suite in suites.values():
        suite.finish()
