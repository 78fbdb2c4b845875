"""The pretended GPU, and the demo SAM2 on both devices."""

from collections.abc import Generator

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2
from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.stops import Stops


@pytest.fixture
def gpu() -> Generator[Stops]:
    """What the test makes the host wait for; while it runs there is a device "cuda"."""
    with pretended_gpu() as stops:
        yield stops


@pytest.fixture(scope="session")
def on_cpu() -> Sam2Model:
    return load_sam2("demo")


@pytest.fixture(scope="session")
def on_cuda(on_cpu: Sam2Model) -> Sam2Model:
    """`on_cpu` comes first: a card is not looked for while sam2 is imported."""
    with pretended_gpu():
        return load_sam2("demo", device="cuda")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One generated clip of 4 frames at 240 x 320; not to be changed."""
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=5, clips=1, frames=4)})
    return open_dataset(root, "val")


@pytest.fixture(scope="session")
def images(world: Dataset) -> list[NDArray[np.uint8]]:
    clip = world.clips[0]
    return [clip.frame(index) for index in range(clip.num_frames)]


@pytest.fixture(scope="session")
def features(on_cpu: Sam2Model, images: list[NDArray[np.uint8]]) -> list[EncodedFrames]:
    """Of each frame, on the CPU."""
    side = on_cpu.predictor.image_size
    return [encode(on_cpu, [model_input(image, side, "video")]) for image in images]
