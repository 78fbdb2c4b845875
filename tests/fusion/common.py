"""A clip with random probabilities, labels and masklets, and what the adaptive vote makes of it."""

from pathlib import Path

import numpy as np

from sam2vss_lib.datasets import VOID, open_dataset
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import RefineSettings
from tests.masklets.common import disjoint, write_masklets
from tests.oracles.fusion import adaptive_window
from tests.oracles.refinement import Masklet

CLASSES = 3


class Case:
    """A clip of five frames with random masklets, probabilities and labels, in windows of 3 and 2.

    Labels are those of the highest probability, except for some that are void.
    """

    def __init__(self, root: Path, folder: Path, seed: int, name: str = "first") -> None:
        self.dataset = open_dataset(root, "val", clips=[name])
        self.clip = self.dataset.clips[0]
        self.base, self.store = (
            PredictionFolder(folder / "base", CLASSES),
            MaskletStore(folder / "masklets"),
        )
        rng, (height, width) = np.random.default_rng(seed), self.clip.size
        self.probabilities, self.predictions, self.windows = [], [], []
        steady = rng.random((CLASSES, height // 4, width // 4)) * 2
        for i in range(self.clip.num_frames):
            raw = np.exp(3 * (steady + rng.random(steady.shape)))
            chances = (raw / raw.sum(0)).astype(np.float16)
            labels = np.kron(chances.argmax(0), np.ones((4, 4))).astype(np.uint8)
            labels = np.pad(labels, ((0, height % 4), (0, width % 4)), "edge")
            labels[rng.random(labels.shape) < 0.05] = VOID
            self.probabilities.append(chances)
            self.predictions.append(labels)
            self.base.write(self.clip, i, labels, chances)
        for length in (3, self.clip.num_frames - 3):
            masks = np.zeros((length, 4, height, width), bool)
            for n in range(4):
                y, x = rng.integers(0, height - 12), rng.integers(0, width - 12)
                tall, wide = rng.integers(6, 16, 2)
                for t in range(length):
                    masks[t, n, y + t : y + t + tall, x : x + wide] = True
            self.windows.append(masks)
        scores = [np.full((2, 4), 0.9, np.float32)] * 2
        write_masklets(self.store, name, self.windows, scores)

    def refined(self, out: Path, **settings) -> list[np.ndarray]:
        folder = PredictionFolder(out, CLASSES)
        given = RefineSettings(**settings)
        refine(self.dataset, self.base, self.store, folder, given)
        return [folder.read(self.clip, i) for i in range(self.clip.num_frames)]

    def expected(self, margin: float, *, with_probabilities: bool = True) -> list[np.ndarray]:
        frames: list[np.ndarray] = []
        for masks in self.windows:
            visible = [disjoint(frame) for frame in masks]
            masklets = [
                Masklet(list(masks[:, i]), [v[i] for v in visible], 0.9, 0.9) for i in range(4)
            ]
            own = slice(len(frames), len(frames) + len(masks))
            images = [self.clip.frame(i) for i in range(own.start, own.stop)]
            chances = self.probabilities[own] if with_probabilities else None
            frames += adaptive_window(images, self.predictions[own], chances, masklets, margin)
        return frames
