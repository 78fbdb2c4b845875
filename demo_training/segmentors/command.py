"""What training any demo base model from the command line does: train, export and measure."""

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from demo_training.segmentors.augmentation import Clips, read_clips
from demo_training.segmentors.optimisation import export
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.metrics import MetricsResult, MetricSuite
from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.storage.files import write_json

_log = logging.getLogger(__name__)


def run_command(
    what: str,
    names: Mapping[str, str],
    train: Callable[[str, Clips, Path], Mapping[str, Tensor]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Train models on the demo's `train` clips; measure what is exported on `val`.

    Args:
        what: the models, for `--help`.
        names: of the models, by what `--only` calls them.
        train: gives the weights of a model by its name, trained with its state kept at a path.
        arguments: of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(description=f"Train {what}.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and models")
    parser.add_argument("--only", choices=[*names], help="train one of them")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    clips = read_clips(open_dataset("demo", "train-all"))
    for name in [names[options.only]] if options.only else names.values():
        stem = name.replace("-", "_")
        weights = options.out / f"{stem}.safetensors"
        export(train(name, clips, options.out / f"{stem}.pt"), weights)
        result = measure(load_segmentor(f"{name}:{weights}"), open_dataset("demo", "val"))
        write_json(options.out / f"{stem}_metrics.json", result.to_dict())
        _log.info("%s on demo val: %s", name, result.metrics)


def measure(segmentor: Segmentor, dataset: Dataset) -> MetricsResult:
    """Evaluate a segmentor on a data set, frame by frame."""
    suite = MetricSuite(segmentor.num_classes)
    for clip in dataset:
        frames = (clip.frame(i) for i in range(clip.num_frames))
        for i, prediction in enumerate(segmentor.predict_clip(frames)):
            truth = torch.from_numpy(clip.ground_truth(i))
            suite.update(clip.name, prediction.labels.cpu(), truth)
    return suite.compute()
