"""Planted masklets: every class has a centre, and features lie around it."""

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.isam2.classifiers.training_set import TrainingSet
from sam2vss_lib.isam2.features.store import FeatureRows, FeatureStore

DIM, NAMES = 6, ("sky", "road", "car")
CENTRES = np.array([[1, 1, -1, -1, 1, -1], [-1, 1, 1, -1, -1, 1], [1, -1, 1, 1, -1, -1]])
ENCODER = {"name": "planted", "sha256": "a" * 64, "dim": DIM, "stride": 4}


def planted(seed: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Features (count, DIM) and labels (count,); linearly separable, badly scaled."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(NAMES), count).astype(np.uint8)
    features = CENTRES[labels] + rng.uniform(-0.4, 0.4, (count, DIM))
    return (features * 10.0 ** np.arange(-3, 3) + 5).astype(np.float32), labels


def training_set(seed: int = 0, clips: int = 8, rows: int = 30) -> TrainingSet:
    """Planted masklets in clips of equal size."""
    features, labels = planted(seed, clips * rows)
    index = np.repeat(np.arange(clips), rows)
    names = tuple(f"clip{i}" for i in range(clips))
    return TrainingSet(features, labels, index, names, dict(ENCODER), len(NAMES), {})


def write_planted(store: FeatureStore, clips: int = 4, rows: int = 20, **changes: object) -> None:
    """Store planted masklets; `changes` go into the files' metadata."""
    whole = training_set(clips=clips, rows=rows)
    metadata = {
        "settings": {"pool": "masklet", "frame_stride": 1, "dtype": "float32"},
        "encoder": dict(ENCODER),
        "num_classes": len(NAMES),
        **changes,
    }
    for number, name in enumerate(whole.clip_names):
        chosen = whole.clip == number
        part = FeatureRows(
            window=np.zeros(rows, np.int32),
            masklet=np.arange(rows, dtype=np.int32),
            frame=np.full(rows, -1, np.int32),
            area_px=np.full(rows, 9),
            label=whole.labels[chosen],
            purity=np.ones(rows, np.float32),
            void_share=np.zeros(rows, np.float32),
            features=whole.features[chosen],
        )
        store.write(name, [part], {**metadata, "clip": name})
