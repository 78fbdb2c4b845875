"""Fit an arbiter on labels, and say on clips that it has not seen whether it is worth it.

Fit on clips that the base models were not trained on: on their own training clips they are too
sure and hardly wrong, and an arbiter learns to believe them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip, Dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.fusion.arbiter import DEFAULT_COLUMNS, Arbiter, ArbiterNet
from sam2vss_lib.fusion.calibration import measure_temperature, reliability
from sam2vss_lib.fusion.comparison import Comparison
from sam2vss_lib.fusion.disputed import Disputed, Values
from sam2vss_lib.fusion.evidence import gather
from sam2vss_lib.fusion.fit_settings import FitSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import check_complete
from sam2vss_lib.refinement.settings import FusionSettings
from sam2vss_lib.refinement.window import Window


@dataclass
class Pixels:
    """Disputed pixels with a label, on which one side is right."""

    columns: dict[str, list[Values]] = field(default_factory=dict)
    base_right: list[NDArray[np.bool_]] = field(default_factory=list)
    label: list[NDArray[np.uint8]] = field(default_factory=list)
    clip: list[NDArray[np.intp]] = field(default_factory=list)  # its number


def fit_arbiter(
    dataset: Dataset,
    predictions: Sequence[PredictionFolder],
    masklets: MaskletStore,
    settings: FitSettings,
    *,
    progress: Callable[[str], None] = lambda clip: None,
) -> Arbiter:
    """Fit an arbiter on all clips and base models; its card tells how those of the folds did.

    `progress` is told every clip twice.

    Raises:
        DataError: predictions, probabilities, labels or masklets are missing or do not fit.
        SettingsError: there are fewer clips than folds.
    """
    if len(dataset) < settings.folds:
        raise SettingsError(
            f"{dataset.root}: {len(dataset)} clips in split {dataset.split}, fewer than --folds "
            f"{settings.folds}; give more clips, or fewer folds"
        )
    step = settings.temperature_frame_step
    temperatures = [measure_temperature(dataset, one, step) for one in predictions]
    sources = [*zip(predictions, temperatures, strict=True)]
    pixels = Pixels()
    for number, clip in enumerate(dataset):
        for base, temperature in sources:
            _sample(clip, number, base, masklets, temperature, settings, pixels)
        progress(clip.name)
    if not sum(map(len, pixels.label)):
        raise DataError(
            f"{dataset.root}: masklets change no labelled pixel of split {dataset.split}, so there "
            "is nothing to learn; give more clips, or masklets of another checkpoint"
        )
    evidence = {name: np.concatenate(parts) for name, parts in pixels.columns.items()}
    right, label = np.concatenate(pixels.base_right), np.concatenate(pixels.label)
    clip_number = np.concatenate(pixels.clip)
    fold = clip_number % settings.folds
    arbiters = [
        _train(evidence, right, label, fold != held_out, settings)
        for held_out in range(settings.folds)
    ]
    compared = Comparison(dataset.num_classes)
    for number, clip in enumerate(dataset):
        for base, temperature in sources:
            windows = windows_of(clip, base, masklets, FusionSettings(temperature=temperature))
            compared.add(clip, base, windows, arbiters[number % settings.folds])
        progress(clip.name)
    chances = [
        1 / (1 + np.exp(-arbiter.logits({n: v[fold == k] for n, v in evidence.items()})))
        for k, arbiter in enumerate(arbiters)
    ]
    whole = _train(evidence, right, label, np.ones(len(label), np.bool_), settings)
    card: dict[str, Any] = {
        "dataset": {"root": dataset.root.name, "split": dataset.split, "clips": len(dataset)},
        "predictions": [one.root.name for one in predictions],
        "temperatures": temperatures,
        "pixels": len(label),
        "settings": settings.model_dump(mode="json"),
        "reliability": reliability(chances, [right[fold == k] for k in range(settings.folds)]),
        "importances": _importances(arbiters, evidence, right, fold),
        **compared.results(),
    }
    return Arbiter(whole.columns, whole.networks, card)


def windows_of(
    clip: Clip, base: PredictionFolder, masklets: MaskletStore, fusion: FusionSettings
) -> Iterator[Window]:
    """The windows of a clip for rules that weigh evidence.

    Raises:
        DataError: predictions or masklets are missing or do not fit the clip.
    """
    check_complete(base, clip)
    for parts in masklets.open(clip).windows():
        yield Window(clip, base, parts, "area", fusion=fusion)


def _sample(
    clip: Clip,
    number: int,
    base: PredictionFolder,
    masklets: MaskletStore,
    temperature: float,
    settings: FitSettings,
    pixels: Pixels,
) -> None:
    """Take in some of the disputed pixels of a clip on which one side is right."""
    rng = np.random.default_rng([number, int(temperature * 1000)])
    found = list[tuple[dict[str, Values], NDArray[np.bool_], NDArray[np.uint8]]]()
    annotated = {*clip.annotated}
    for window in windows_of(clip, base, masklets, FusionSettings(temperature=temperature)):
        evidence = gather(window, DEFAULT_COLUMNS)
        for index, frame in enumerate(evidence.frames):
            at = window.parts[index].frame
            if at not in annotated:
                continue
            truth = clip.ground_truth(at).ravel()[frame.places]
            disputed = Disputed(window, index, evidence.classes)
            right = disputed.base == truth
            decided = np.flatnonzero((right | (disputed.vote == truth)) & (truth != VOID))
            columns = {name: values[decided] for name, values in frame.columns.items()}
            found.append((columns, right[decided], truth[decided]))
    total = sum(len(right) for _, right, _ in found)
    chance = settings.pixels_per_clip / max(total, 1)
    for columns, right, truth in found:
        taken = rng.random(len(right)) < chance
        for name, values in columns.items():
            pixels.columns.setdefault(name, []).append(values[taken])
        pixels.base_right.append(right[taken])
        pixels.label.append(truth[taken])
        pixels.clip.append(np.full(int(taken.sum()), number))


def _train(
    evidence: dict[str, Values],
    right: NDArray[np.bool_],
    label: NDArray[np.uint8],
    taken: NDArray[np.bool_],
    settings: FitSettings,
) -> Arbiter:
    """Networks of all seeds on the pixels taken; rare classes weigh more, as in mIoU."""
    given = torch.from_numpy(np.stack([values[taken] for values in evidence.values()], 1))
    wanted = torch.from_numpy(right[taken].astype(np.float32))
    frequency = np.bincount(label[taken], minlength=VOID + 1) / max(taken.sum(), 1)
    weight = torch.from_numpy((frequency[label[taken]] ** -0.5).astype(np.float32))
    weight /= weight.mean()
    networks: list[ArbiterNet] = []
    for seed in range(settings.seeds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ArbiterNet(given.shape[1], settings.hidden, settings.dropout)
            network.mean.copy_(given.mean(0))
            network.std.copy_(given.std(0) + 1e-6)
            _fit(network, given, wanted, weight, settings)
        networks.append(network.eval())
    return Arbiter((*evidence,), (*networks,), {})


def _fit(
    network: ArbiterNet,
    given: torch.Tensor,
    wanted: torch.Tensor,
    weight: torch.Tensor,
    settings: FitSettings,
) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate)
    steps = settings.epochs * max(len(given) // settings.batch_pixels, 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        batch = torch.randint(len(given), (min(settings.batch_pixels, len(given)),))
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            network(given[batch]), wanted[batch], reduction="none"
        )
        optimiser.zero_grad()
        (losses * weight[batch]).mean().backward()
        optimiser.step()
        schedule.step()


def _importances(
    arbiters: Sequence[Arbiter],
    evidence: dict[str, Values],
    right: NDArray[np.bool_],
    fold: NDArray[np.intp],
) -> dict[str, float]:
    """Points of accuracy on held-out pixels that are lost when a column is shuffled."""

    def accuracy(columns: dict[str, Values]) -> float:
        hits = sum(
            int(((arbiter.logits({n: v[fold == k] for n, v in columns.items()}) > 0)
                 == right[fold == k]).sum())
            for k, arbiter in enumerate(arbiters)
        )  # fmt: skip
        return 100 * hits / len(right)

    rng, whole = np.random.default_rng(0), accuracy(evidence)
    shuffled = {name: {**evidence, name: rng.permutation(v)} for name, v in evidence.items()}
    lost = {name: whole - accuracy(columns) for name, columns in shuffled.items()}
    return {name: round(lost[name], 2) for name in sorted(lost, key=lambda n: -lost[n])}
