"""One pixel: the masklets that cover it, how they voted, and what became of it in its window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.masklets.store import FrameMasklets
from sam2vss_lib.refinement.painting import priority_of
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.views.layers import NO_MASKLET
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.stores import Choice

Counts = dict[int, int]  # class -> pixels, those with none left out, most first


@dataclass(frozen=True)
class Candidate:
    """A masklet that covers the pixel."""

    masklet: int  # its number
    label: int  # that it paints, 255 where it takes no part
    area: int  # px
    predicted_iou: float
    stability: float
    votes: Counts  # of this frame
    window_votes: Counts  # of the whole window; empty unless they were asked for


@dataclass(frozen=True)
class Moment:
    """The pixel on one frame of its window."""

    frame: int
    masklet: int  # on top, -1 where there is none
    base: int  # label
    refined: int  # label


@dataclass(frozen=True)
class PixelFacts:
    """What is known of one pixel of one frame."""

    x: int
    y: int
    base: int  # label by the base model
    refined: int  # label
    truth: int | None  # label, None where there is no ground truth
    candidates: tuple[Candidate, ...]  # the first is on top
    scores: dict[int, float] | None  # class -> probability, None where the base model gives none
    history: tuple[Moment, ...]  # of the window's frames; empty unless it was asked for
    evidence: dict[str, float] | None  # for the base model, in nats; None where none is weighed


def pixel_facts(
    data: ExplorerData, scene: Scene, choice: Choice, xy: tuple[int, int], *, window: bool = True
) -> PixelFacts:
    """Look at the pixel in column x of row y.

    With `window` the other frames of the window are looked at too, which takes longer; the evidence
    is of all of them, so that without it that of votes which weigh it is told alone.
    """
    x, y = xy
    weighed = window or VOTES.find(choice.vote).weighs
    evidence = data.evidence(scene, choice) if weighed else None
    truth, refined, scores = (
        data.truth(scene),
        data.refined(scene, choice),
        data.probabilities(scene),
    )
    return PixelFacts(
        x,
        y,
        int(data.labels(scene)[y, x]),
        int(refined.labels[y, x]),
        None if truth is None else int(truth[y, x]),
        _candidates(data, scene, choice, x, y, window),
        None if scores is None else _scores(scores, x, y, refined.labels.shape),
        _history(data, scene, choice, x, y) if window else (),
        None if evidence is None else evidence.at(y * refined.labels.shape[1] + x),
    )


def _candidates(
    data: ExplorerData, scene: Scene, choice: Choice, x: int, y: int, window: bool
) -> tuple[Candidate, ...]:
    refined = data.refined(scene, choice)
    if refined.part is None:
        return ()
    ranked, _ = _ranked(refined.part, refined.classes, choice, x, y)
    if not ranked:
        return ()
    values = {name: refined.part.values(name) for name in _FACTS}
    found = data.window(scene, choice, only=values["masklet"][ranked], whole=window)
    assert found is not None  # there are masklets
    here, index = found
    votes = here.votes(index)
    totals = np.sum([here.votes(i) for i in range(len(here))], axis=0) if window else None
    order = here.parts[index].values("masklet").tolist()
    return tuple(
        Candidate(
            number := int(values["masklet"][i]),
            int(refined.classes[i]),
            int(values["area"][i]),
            float(values["predicted_iou"][i]),
            float(values["stability"][i]),
            _counts(votes[order.index(number)]),
            {} if totals is None else _counts(totals[order.index(number)]),
        )
        for i in ranked
    )


def _ranked(
    part: FrameMasklets, classes: NDArray[np.uint8], choice: Choice, x: int, y: int
) -> tuple[list[int], int]:
    """Indices of the masklets that cover a pixel, the upper first, and the number of that on top.

    Those without a class take no part; under `logit` only the visible one is on top.
    """
    covering = np.flatnonzero(_covers(part, x, y))
    visible = _covers(part, x, y, "rle_visible") if choice.overlap == "logit" else None
    order = priority_of(part, choice.overlap)

    def rank(index: int) -> tuple[bool, bool, float, int]:
        seen = visible is None or bool(visible[index])
        return classes[index] != VOID and seen, seen, float(order[index]), index

    ranked = sorted(covering.tolist(), key=rank, reverse=True)
    on_top = bool(ranked) and rank(ranked[0])[0]
    return ranked, int(part.values("masklet")[ranked[0]]) if on_top else NO_MASKLET


def _covers(
    part: FrameMasklets, x: int, y: int, column: Literal["rle", "rle_visible"] = "rle"
) -> NDArray[np.bool_]:
    """Which of a frame's masklets, (n,), cover a pixel; only those around it are decoded."""
    left, top, width, height = (part.values(name) for name in "xywh")
    covers = (left <= x) & (x < left + width) & (top <= y) & (y < top + height)
    if covers.any():
        near = FrameMasklets(part.rows.filter(pa.array(covers)))
        covers[covers] = near.masks(column)[:, y, x]
    return covers


def _history(
    data: ExplorerData, scene: Scene, choice: Choice, x: int, y: int
) -> tuple[Moment, ...]:
    """The pixel on all frames of its window.

    Masklets that never cover it have no say in it, so that only the others vote and are painted;
    but what a rule weighs as evidence, such as colours, is of all of them.
    """
    found = data.window(scene, choice)
    if found is None or not found[0].chosen.any():
        return ()
    parts = found[0].parts
    bases = [int(data.labels(scene.at(part.frame))[y, x]) for part in parts]
    ever = np.logical_or.reduce([_covers(part, x, y) for part in parts])
    some = found
    if not VOTES.find(choice.vote).weighs:
        some = data.window(scene, choice, only=parts[0].values("masklet")[ever])
    if some is None or not ever.any():
        return tuple(
            Moment(part.frame, NO_MASKLET, base, base)
            for part, base in zip(parts, bases, strict=True)
        )
    window, moments = some[0], list[Moment]()
    for index, labels in enumerate(VOTES.find(choice.vote).load()(window)):
        part, classes = window.parts[index], window.classes[index]
        _, top = _ranked(part, classes, choice, x, y)
        moments.append(Moment(part.frame, top, bases[index], int(labels[y, x])))
    return tuple(moments)


def _counts(votes: NDArray[np.integer]) -> Counts:
    most_first = np.argsort(-votes, kind="stable")
    return {int(label): int(votes[label]) for label in most_first if votes[label]}


def _scores(
    probabilities: NDArray[np.float16], x: int, y: int, size: tuple[int, ...]
) -> dict[int, float]:
    """Probabilities at the pixel, of the nearest place in a map of another resolution."""
    row = y * probabilities.shape[1] // size[0]
    column = x * probabilities.shape[2] // size[1]
    values = probabilities[:, row, column].astype(float)
    return {int(label): float(values[label]) for label in np.argsort(-values, kind="stable")}


_FACTS = ("masklet", "area", "predicted_iou", "stability")
