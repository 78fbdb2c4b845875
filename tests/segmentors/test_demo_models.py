"""The embedded models: small, loadable, and better than guessing on frames they never saw."""

import numpy as np
import pytest

from sam2vss_lib.datasets.demo import DEMO_SPLITS
from sam2vss_lib.datasets.demo.world import CLASS_NAMES, World
from sam2vss_lib.datasets.labels import ground_truth_from_mask
from sam2vss_lib.segmentors.registry import DEMO_MODELS, demo_file, load_segmentor
from sam2vss_lib.segmentors.temporal.clip_head import CLIP_FRAMES


@pytest.mark.parametrize("name", DEMO_MODELS)
def test_at_most_four_megabytes(name: str) -> None:
    assert demo_file(name, ".safetensors").stat().st_size <= 4_000_000


@pytest.mark.parametrize("name", DEMO_MODELS)
def test_labels_most_pixels_of_the_validation_split_rightly(name: str) -> None:
    segmentor = load_segmentor(name)
    assert segmentor.num_classes == len(CLASS_NAMES)
    split = DEMO_SPLITS["val"]
    right, majority, pixels = 0, 0, 0
    for seed in (split.first_seed, split.first_seed + 1):  # rendered here: no cache is needed
        world = World(seed, num_frames=split.frames)
        frames = [world.frame(i) for i in range(CLIP_FRAMES)]  # the last one has its references
        truth = ground_truth_from_mask(frames[-1].labels, len(CLASS_NAMES))
        *_, last = segmentor.predict_clip(frame.image for frame in frames)
        labels = last.labels.numpy()
        right += int((labels == truth)[truth != 255].sum())
        majority += int(np.bincount(truth[truth != 255]).max())
        pixels += int((truth != 255).sum())
    # always guessing each frame's most frequent class is the best that chance can do
    assert right / pixels > 0.75 > majority / pixels
