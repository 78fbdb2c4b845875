"""Training of the classifier: AdamW with a cosine, early stopping on clips set apart."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.isam2.classifiers.files import load_classifier, save_classifier
from sam2vss_lib.isam2.classifiers.mlp import Classifier, ClassifierSettings, MaskletMLP
from sam2vss_lib.isam2.classifiers.training_set import (
    TrainingSet,
    read_training_set,
    validation_clips,
)
from sam2vss_lib.isam2.features.store import FeatureStore
from sam2vss_lib.storage.records import is_finished, mark_finished, mark_started, sha256_files

_ROWS_AT_ONCE = 65_536


def train_classifier(
    store: FeatureStore,
    clips: Sequence[str],
    class_names: Sequence[str],
    settings: ClassifierSettings,
    out: Path,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] = lambda epoch: None,
) -> tuple[Classifier, bool]:
    """Train on stored features and store the classifier in `out`; a finished one is reused.

    The clips include those for validation; the names are of the C classes, label 0 first.
    `progress` is called with each epoch's number, from 1, when it is done.

    Returns:
        The classifier, and whether it was there already.

    Raises:
        DataError: features are missing or cannot be trained on, or `out` holds a classifier made
            from something else, or files of unknown origin.
        SettingsError: names do not fit the features' classes, or too few clips.
        RunError: training diverged.
    """
    made_from: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "class_names": list(class_names),
        "clips": list(clips),
        "features_sha256": sha256_files(store.path(name) for name in clips),
    }
    if is_finished(out, made_from):
        return load_classifier(out, device=device), True
    training = read_training_set(store, clips, settings)
    classifier = fit(training, class_names, settings, device=device, progress=progress)
    mark_started(out, made_from)
    save_classifier(classifier, out)
    mark_finished(out, made_from)
    return classifier, False


def fit(
    training: TrainingSet,
    class_names: Sequence[str],
    settings: ClassifierSettings,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] = lambda epoch: None,
) -> Classifier:
    """Train a classifier; on the CPU equal inputs and settings give equal weights.

    The weights kept are those of the epoch that is best on the validation clips; without such
    clips, those of the last epoch.

    Arguments are as of `train_classifier`, for masklets read already.

    Raises:
        SettingsError: names do not fit the training set's classes, or too few clips.
        RunError: the loss is not finite.
    """
    if len(class_names) != training.num_classes:
        raise SettingsError(
            f"class_names: {len(class_names)} names for {training.num_classes} classes"
        )
    device = torch.device(device)
    held_out = torch.from_numpy(np.isin(training.clip, validation_clips(training, settings)))
    features = torch.from_numpy(training.features).to(device)
    labels = torch.from_numpy(training.labels).long().to(device)
    rows, checked = (~held_out).nonzero()[:, 0].to(device), held_out.nonzero()[:, 0].to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        network = MaskletMLP(features.shape[1], len(class_names), settings).to(device)
        if settings.standardise:
            network.mean, network.std = _moments(features, rows)
        weight = _class_weights(labels[rows], len(class_names), settings)
        epochs = _Epochs(network, features, labels, weight, settings)
        history, best_epoch, best_state = list[dict[str, float]](), 0, network.state_dict()
        for epoch in range(1, settings.epochs + 1):
            entry = {"epoch": float(epoch), "train_loss": epochs.train(rows)}
            if len(checked):
                entry |= epochs.validate(checked)
            history.append(entry)
            if not len(checked) or epoch == 1 or _better(entry, history[best_epoch - 1], settings):
                best_epoch = epoch
                best_state = {key: value.clone() for key, value in network.state_dict().items()}
            progress(epoch)
            if epoch - best_epoch >= settings.patience:
                break
    network.load_state_dict(best_state)
    return Classifier(
        network.eval(), settings, tuple(class_names), training.encoder, history, best_epoch
    )


class _Epochs:
    """The training loop's state between epochs."""

    def __init__(
        self,
        network: MaskletMLP,
        features: Tensor,
        labels: Tensor,
        weight: Tensor | None,
        settings: ClassifierSettings,
    ) -> None:
        self._network, self._features, self._labels = network, features, labels
        self._weight, self._settings, self._epoch = weight, settings, 0
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )

    def train(self, rows: Tensor) -> float:
        """One pass over the rows in random order; their mean loss."""
        settings, network = self._settings, self._network.train()
        order = rows[torch.randperm(len(rows)).to(rows.device)]
        batches = order.split(settings.batch_size)
        total = torch.zeros((), dtype=torch.float64, device=rows.device)
        for step, batch in enumerate(batches):
            done = (self._epoch + step / len(batches)) / settings.epochs
            for group in self._optimiser.param_groups:
                group["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * done))
            logits = network(self._features[batch].float())
            loss = F.cross_entropy(logits, self._labels[batch], self._weight)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            total += loss.detach().double() * len(batch)  # a device is asked once, at the end
        self._epoch += 1
        mean = total.item() / len(rows)
        if not math.isfinite(mean):
            raise RunError(f"lr {settings.lr}: the loss is not finite any more; use a smaller one")
        return mean

    @torch.inference_mode()
    def validate(self, rows: Tensor) -> dict[str, float]:
        """Unweighted loss, accuracy, and its mean over the classes that occur."""
        network = self._network.eval()
        logits = torch.cat(
            [network(self._features[part].float()) for part in rows.split(_ROWS_AT_ONCE)]
        )
        labels = self._labels[rows]
        right = (logits.argmax(1) == labels).double()
        count = torch.bincount(labels, minlength=logits.shape[1]).double()
        hits = torch.bincount(labels, right, minlength=len(count))
        occurs = count > 0
        return {
            "loss": F.cross_entropy(logits, labels).item(),
            "accuracy": right.mean().item(),
            "macro_accuracy": (hits[occurs] / count[occurs]).mean().item(),
        }


def _better(entry: dict[str, float], best: dict[str, float], settings: ClassifierSettings) -> bool:
    """Whether an epoch beats the best so far; equal accuracies, frequent on few clips, by loss."""
    if settings.monitor == "loss":
        return entry["loss"] < best["loss"]
    rank = (entry["macro_accuracy"], -entry["loss"])
    return rank > (best["macro_accuracy"], -best["loss"])


def _moments(features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(D,) mean and deviation of the rows; 1 for features that never change."""
    total = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    squares = total.clone()
    for part in rows.split(_ROWS_AT_ONCE):
        total += features[part].double().sum(0)
    mean = total / len(rows)
    for part in rows.split(_ROWS_AT_ONCE):
        squares += (features[part].double() - mean).square().sum(0)
    std = (squares / len(rows)).sqrt()
    return mean.float(), torch.where(std > 0, std, 1).float()


def _class_weights(labels: Tensor, num_classes: int, settings: ClassifierSettings) -> Tensor | None:
    """(C,) weights with mean 1 over the classes that occur, 0 for the others; None for all 1."""
    if settings.class_weighting == "none":
        return None
    count = torch.bincount(labels, minlength=num_classes).float()
    weight = torch.where(count > 0, count.clamp(min=1).rsqrt(), 0)
    return weight / weight[count > 0].mean()
