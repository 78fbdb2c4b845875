"""mIoU, VC8 and VC16 as published scripts count them, from their definitions, beside `evaluate`.

A confusion matrix of all labelled pixels, and for every window of n frames the share of the pixels
constant in ground truth that are constant in the prediction, too, compared frame by frame.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def read(folder: Path, frames: list[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(folder / f"{frame}.png")) for frame in frames]


def video_consistency(truth: list[np.ndarray], labels: list[np.ndarray], n: int) -> list[float]:
    shares: list[float] = []
    for start in range(len(truth) - n):
        common, kept = np.ones(truth[0].shape, bool), np.ones(truth[0].shape, bool)
        for later in range(start + 1, start + n):
            common &= truth[start] == truth[later]
            kept &= labels[start] == labels[later]
        shares.append((common & kept).sum() / common.sum())
    return shares


def main(root: Path, predictions: Path, num_classes: int) -> None:
    matrix = np.zeros((num_classes, num_classes), np.int64)
    shares: dict[int, list[float]] = {8: [], 16: []}
    for clip in (root / "val.txt").read_text().split():
        folder = root / "data" / clip / "mask"
        frames = sorted(path.stem for path in folder.iterdir())
        truth = [mask - np.uint8(1) for mask in read(folder, frames)]  # void becomes 255
        labels = read(predictions / clip, frames)
        for one, other in zip(truth, labels, strict=True):
            known = one < num_classes
            pairs = num_classes * one[known].astype(int) + other[known]
            counts = np.bincount(pairs, minlength=num_classes**2)
            matrix += counts.reshape(num_classes, num_classes)
        for n, found in shares.items():
            found += video_consistency(truth, labels, n)
    with np.errstate(invalid="ignore"):
        iou = matrix.diagonal() / (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())
    present = matrix.sum(1) > 0
    print(100 * iou[present].mean(), *(100 * np.mean(found) for found in shares.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
