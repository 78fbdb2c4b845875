"""The demo SAM2 and one generated clip, made once for all tests of the masklets."""

import pytest

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.masklets.sam2 import Sam2Model, load_sam2


@pytest.fixture(scope="session")
def demo_model() -> Sam2Model:
    return load_sam2("demo")


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One generated clip of 5 frames at 240 x 320; not to be changed."""
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=5, clips=1, frames=5)})
    return open_dataset(root, "val")
