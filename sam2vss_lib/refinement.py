"""SAM2 as a refiner: every masklet takes the class most frequent under it (Eq. 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from sam2vss_lib.datasets import VOID, Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.store import ClipMasklets, FrameMasklets, MaskletStore, check_fit
from sam2vss_lib.metrics.iou import class_counts
from sam2vss_lib.predictions import PredictionFolder, write_labels
from sam2vss_lib.storage.records import is_finished, sha256_files

Vote = Literal["frame", "masklet"]
Overlap = Literal["area", "predicted_iou", "stability", "logit"]


class RefineSettings(BaseModel):
    """How masklets vote and how their overlaps are resolved.

    Attributes:
        vote: `frame` lets each masklet vote on every frame anew (the literal reading of Eq. 2);
            `masklet` gives it one class for its whole window.
        overlap: which masklet a pixel under several of them takes its class from: the smallest
            (`area`), the one of highest proposal score (`predicted_iou`, `stability`), or the one
            with the largest `logit` at that pixel. Masklets without any vote take no part, except
            under `logit`, where the store knows the winner only: its pixels keep the prediction.
            On a window's first frame the logits of all prompts are about equal, and `logit` then
            prefers the higher predicted IoU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    vote: Vote = "frame"
    overlap: Overlap = "area"


def count_votes(masks: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class under each mask; void pixels do not vote (Eq. 2).

    Args:
        masks: (n, H, W) bool.
        prediction: (H, W) uint8, classes 0..C-1 and void 255.
        num_classes: C.

    Returns:
        (n, C) int64.
    """
    votes = prediction.new_zeros((len(masks), num_classes), dtype=torch.int64)
    for mask, counts in zip(masks, votes, strict=True):
        counts.copy_(class_counts(prediction, mask, num_classes))
    return votes


def winning_classes(votes: Tensor) -> Tensor:
    """Most frequent class of each mask, the lowest index among equals.

    Args:
        votes: (n, C) int64.

    Returns:
        (n,) uint8; 255 where a mask has no vote at all.
    """
    num_classes = votes.shape[1]
    # one key per class, since argmax promises nothing about ties
    tie_break = torch.arange(num_classes - 1, -1, -1, device=votes.device)
    winner = (votes * num_classes + tie_break).max(1).indices
    return torch.where(votes.sum(1) > 0, winner, VOID).to(torch.uint8)


def paint(prediction: Tensor, masks: Tensor, classes: Tensor, priority: Tensor) -> Tensor:
    """Give every mask its class, and pixels under several masks that of highest priority (Eq. 1).

    Args:
        prediction: (H, W) uint8, kept outside the masks.
        masks: (n, H, W) bool.
        classes: (n,) uint8; masks of class 255 paint nothing.
        priority: (n,) numbers; among equals the later mask wins.

    Returns:
        (H, W) uint8.
    """
    painted, of_mask = prediction.clone(), classes.tolist()
    for index in priority.argsort(stable=True).tolist():
        if of_mask[index] != VOID:
            painted.masked_fill_(masks[index], of_mask[index])
    return painted


def paint_frame(
    labels: Tensor,
    part: FrameMasklets,
    classes: Tensor,
    overlap: Overlap,
    masks: Tensor | None = None,
) -> Tensor:
    """Paint the masklets of one frame in their classes (Eq. 1).

    Args:
        labels: (H, W) uint8, kept where no masklet paints.
        part: the frame's n masklets.
        classes: (n,) uint8 on the device of `labels`; masklets of class 255 paint nothing.
        overlap: which masklet is on top.
        masks: (n, H, W) bool, `part.masks()` where the caller has them already.

    Returns:
        (H, W) uint8.
    """
    if overlap == "logit":
        masks = torch.from_numpy(part.masks("rle_visible")).to(labels.device)
    elif masks is None:
        masks = torch.from_numpy(part.masks()).to(labels.device)
    priority = torch.from_numpy(_priority(part, overlap)).to(labels.device)
    return paint(labels, masks, classes, priority)


def refine(
    dataset: Dataset,
    predictions: PredictionFolder,
    masklets: MaskletStore,
    out: PredictionFolder,
    settings: RefineSettings | None = None,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Refine the predictions of every clip; finished clips are reused.

    Args:
        dataset: the clips; neither frames nor ground truth are used.
        predictions: the base model's labels.
        masklets: their masklets.
        out: where refined labels go.
        settings: vote and overlap rule.
        device: where to compute; the result does not depend on it.
        progress: called with each clip's name when it is done.

    Returns:
        Number of clips that were reused.

    Raises:
        DataError: predictions or masklets are missing or do not fit the clip, or `out` holds a
            refinement of something else, or files of unknown origin.
        SettingsError: `out` is the folder of `predictions`.
    """
    settings = settings or RefineSettings()
    if out.root.resolve() == predictions.root.resolve():
        raise SettingsError(f"{out.root}: holds the predictions to refine; choose another --out")

    def work(clip: Clip) -> bool:
        if missing := predictions.missing(clip):
            path = predictions.path(clip, missing[0])
            raise DataError(f"{path}: no such prediction; run sam2vss segment first")
        stored = masklets.read(clip.name)
        path = masklets.path(clip.name)
        check_fit(clip, stored, path, overlap=settings.overlap)
        made_from: dict[str, Any] = {
            "settings": settings.model_dump(mode="json"),
            "predictions_label_offset": predictions.label_offset,
            "label_offset": out.label_offset,
            "masklets_sha256": sha256_files([path]),
            "predictions_sha256": sha256_files(
                predictions.path(clip, i) for i in range(clip.num_frames)
            ),
        }
        if is_finished(out.root / clip.name, made_from):
            return True
        refined = _refine_clip(clip, predictions, stored, settings, torch.device(device))
        write_labels(out, clip, refined, made_from)
        return False

    return each_clip(dataset, [out.root], work, progress)


def _refine_clip(
    clip: Clip,
    predictions: PredictionFolder,
    stored: ClipMasklets,
    settings: RefineSettings,
    device: torch.device,
) -> list[Labels]:
    """Refined labels of all frames, (H, W) uint8; those without masklets as they were."""
    refined: dict[int, Labels] = {}
    for window in stored.windows():
        for frame, labels in _refine_window(clip, predictions, window, settings, device):
            refined[frame] = labels.cpu().numpy()
    return [
        refined[i] if i in refined else predictions.read(clip, i) for i in range(clip.num_frames)
    ]


def _refine_window(
    clip: Clip,
    predictions: PredictionFolder,
    window: list[FrameMasklets],
    settings: RefineSettings,
    device: torch.device,
) -> Iterator[tuple[int, Tensor]]:
    """Frame indices of a window and their refined labels, (H, W) uint8."""

    def read(part: FrameMasklets) -> tuple[Tensor, Tensor]:
        labels = torch.from_numpy(predictions.read(clip, part.frame)).to(device)
        return labels, torch.from_numpy(part.masks()).to(device)

    def votes_on(labels: Tensor, masks: Tensor) -> Tensor:
        return count_votes(masks, labels, predictions.num_classes)

    window_votes = None
    if settings.vote == "masklet":
        # every frame is then read twice, so that memory does not grow with the window
        window_votes = torch.stack([votes_on(*read(part)) for part in window]).sum(0)
    for part in window:
        labels, masks = read(part)
        votes = votes_on(labels, masks) if window_votes is None else window_votes
        yield part.frame, paint_frame(labels, part, winning_classes(votes), settings.overlap, masks)


def _priority(part: FrameMasklets, overlap: Overlap) -> NDArray[Any]:
    """Higher is on top; visible parts are disjoint, so their order is of no matter."""
    if overlap in ("predicted_iou", "stability"):
        return part.values(overlap)
    return -part.values("area")
