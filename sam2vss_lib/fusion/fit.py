"""Fit an arbiter on labels, and say on clips that it has not seen whether it is worth it.

Fit on clips that the base models were not trained on: on their own training clips they are too
sure and hardly wrong, and an arbiter learns to believe them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip, Dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.fusion.arbiter import DEFAULT_COLUMNS, Arbiter, ArbiterNet
from sam2vss_lib.fusion.calibration import measure_temperature, reliability
from sam2vss_lib.fusion.comparison import WINDOW_VOTE, Weighed, compare
from sam2vss_lib.fusion.disputed import Values
from sam2vss_lib.fusion.evidence import gather
from sam2vss_lib.fusion.fit_settings import FitSettings
from sam2vss_lib.fusion.rules import adaptive, learned
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import Gain, MetricSuite, paired_gain
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import check_complete
from sam2vss_lib.refinement.settings import FusionSettings
from sam2vss_lib.refinement.trust import Trust
from sam2vss_lib.refinement.window import Window


@dataclass(frozen=True)
class Pixels:
    """Disputed pixels with a label, on which one side is right."""

    columns: dict[str, Values]  # (k,) each
    base_right: NDArray[np.bool_]  # (k,)
    label: NDArray[np.uint8]  # (k,)
    clip: NDArray[np.intp]  # (k,) number of the clip

    @classmethod
    def joined(cls, parts: Sequence[Pixels]) -> Pixels:
        """Several of them together, with the columns that all have."""
        names = [name for name in parts[0].columns if all(name in one.columns for one in parts)]
        return cls(
            {name: np.concatenate([one.columns[name] for one in parts]) for name in names},
            np.concatenate([one.base_right for one in parts]),
            np.concatenate([one.label for one in parts]),
            np.concatenate([one.clip for one in parts]),
        )

    def some(self, taken: NDArray[np.bool_]) -> Pixels:
        """Those that are marked, (k,)."""
        columns = {name: values[taken] for name, values in self.columns.items()}
        return Pixels(columns, self.base_right[taken], self.label[taken], self.clip[taken])


def fit_arbiter(
    dataset: Dataset,
    predictions: Sequence[PredictionFolder],
    masklets: MaskletStore,
    settings: FitSettings,
    *,
    progress: Callable[[str], None] = lambda clip: None,
) -> Arbiter:
    """Fit an arbiter on all clips and base models; its card tells how those of the folds did.

    Folds are of clips, each judged by an arbiter that has seen none of it. `progress` is told every
    clip twice for each base model.

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
    pixels = Pixels.joined(
        [sample_pixels(dataset, *one, masklets, settings, progress=progress) for one in sources]
    )
    fold = pixels.clip % settings.folds
    arbiters = [
        train_arbiter(pixels.some(fold != held_out), settings) for held_out in range(settings.folds)
    ]
    suites = {
        rule: MetricSuite(dataset.num_classes) for rule in (WINDOW_VOTE, "adaptive", "learned")
    }
    for base, temperature in sources:
        for number, clip in enumerate(dataset):
            ways = {
                "adaptive": adaptive_way(adaptive.WEIGHTS),
                "learned": learned_way(arbiters[number % settings.folds]),
            }
            windows = windows_of(clip, base, masklets, temperature)
            compare(clip, base, windows, ways, suites, f"{base.root.name}/{clip.name}")
            progress(clip.name)
    held_out = [pixels.some(fold == k) for k in range(settings.folds)]
    chances = [
        1 / (1 + np.exp(-arbiter.logits(part.columns)))
        for arbiter, part in zip(arbiters, held_out, strict=True)
    ]
    over = {
        rule: paired_gain(suites[rule], suites["learned"]) for rule in (WINDOW_VOTE, "adaptive")
    }
    low = over["adaptive"]["mIoU"].low
    card: dict[str, Any] = {
        "dataset": {"root": dataset.root.name, "split": dataset.split, "clips": len(dataset)},
        "predictions": [one.root.name for one in predictions],
        "temperatures": temperatures,
        "pixels": len(pixels.label),
        "settings": settings.model_dump(mode="json"),
        "reliability": reliability(chances, [part.base_right for part in held_out]),
        "importances": _importances(arbiters, held_out),
        "gain_over": {rule: _plain(gains) for rule, gains in over.items()},
        "recommended": "learned" if low is not None and low > 0 else "adaptive",
    }
    whole = train_arbiter(pixels, settings)
    return Arbiter(whole.columns, whole.networks, card)


def adaptive_way(weights: Mapping[str, float], **how: bool) -> Weighed:
    """The adaptive vote, by weights, as a way to weigh evidence."""
    return Weighed((*weights,), adaptive.score_of(weights), adaptive.MARGIN, **how)


def learned_way(arbiter: Arbiter) -> Weighed:
    """The learned vote as a way to weigh evidence."""
    return Weighed(arbiter.columns, lambda frame: arbiter.logits(frame.columns), learned.MARGIN)


def windows_of(
    clip: Clip, base: PredictionFolder, masklets: MaskletStore, temperature: float = 1.0
) -> Iterator[Window]:
    """The windows of a clip for rules that weigh evidence, with one gate for all.

    Raises:
        DataError: predictions or masklets are missing or do not fit the clip.
    """
    check_complete(base, clip)
    fusion, trust = FusionSettings(temperature=temperature), Trust()
    for parts in masklets.open(clip).windows():
        yield Window(clip, base, parts, "area", fusion=fusion, trust=trust)


def sample_pixels(
    dataset: Dataset,
    base: PredictionFolder,
    temperature: float,
    masklets: MaskletStore,
    settings: FitSettings,
    *,
    progress: Callable[[str], None] = lambda clip: None,
) -> Pixels:
    """Some of the disputed pixels of every clip on which one side is right, drawn by its number.

    Raises:
        DataError: predictions or masklets are missing or do not fit, or there is no such pixel.
    """
    found: list[Pixels] = []
    for number, clip in enumerate(dataset):
        parts = [*_decided(clip, number, windows_of(clip, base, masklets, temperature))]
        chance = settings.pixels_per_clip / max(sum(len(part.label) for part in parts), 1)
        rng = np.random.default_rng(number)
        found += [part.some(rng.random(len(part.label)) < chance) for part in parts]
        progress(clip.name)
    if not any(len(part.label) for part in found):
        raise DataError(
            f"{dataset.root}: masklets change no labelled pixel of split {dataset.split}, so there "
            "is nothing to learn; give more clips, or masklets of another checkpoint"
        )
    return Pixels.joined([part for part in found if len(part.label)])


def _decided(clip: Clip, number: int, windows: Iterable[Window]) -> Iterator[Pixels]:
    """The disputed pixels of a clip's annotated frames on which one side is right."""
    annotated = {*clip.annotated}
    for window in windows:
        evidence = gather(window, DEFAULT_COLUMNS)
        for index, frame in enumerate(evidence.frames):
            if (at := window.parts[index].frame) in annotated:
                truth = clip.ground_truth(at).ravel()[frame.places]
                right, voted = frame.base == truth, evidence.classes[frame.masklet] == truth
                every = np.full(len(truth), number, np.intp)
                whole = Pixels(frame.columns, right, truth, every)
                yield whole.some((right | voted) & (truth != VOID))


def train_arbiter(pixels: Pixels, settings: FitSettings) -> Arbiter:
    """Networks of all seeds on the pixels; rare classes weigh more, as in mIoU."""
    given = torch.from_numpy(np.stack([*pixels.columns.values()], 1))
    wanted = torch.from_numpy(pixels.base_right.astype(np.float32))
    frequency = np.bincount(pixels.label, minlength=VOID + 1) / len(pixels.label)
    weight = torch.from_numpy((frequency[pixels.label] ** -0.5).astype(np.float32))
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
    return Arbiter((*pixels.columns,), (*networks,), {})


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


def _importances(arbiters: Sequence[Arbiter], held_out: Sequence[Pixels]) -> dict[str, float]:
    """Points of accuracy on pixels not seen that are lost when a column is shuffled."""

    def right(shuffled: str | None) -> int:
        rng, hits = np.random.default_rng(0), 0
        for arbiter, part in zip(arbiters, held_out, strict=True):
            columns = dict(part.columns)
            if shuffled is not None:
                columns[shuffled] = rng.permutation(columns[shuffled])
            hits += int(((arbiter.logits(columns) > 0) == part.base_right).sum())
        return hits

    whole, total = right(None), sum(len(part.label) for part in held_out)
    lost = {name: 100 * (whole - right(name)) / total for name in arbiters[0].columns}
    return {name: round(lost[name], 2) for name in sorted(lost, key=lambda n: -lost[n])}


def _plain(gains: dict[str, Gain]) -> dict[str, list[float | None]]:
    """Gain and interval of each metric, in points."""
    return {
        metric: [None if v is None else round(v, 2) for v in (gain.gain, gain.low, gain.high)]
        for metric, gain in gains.items()
    }
