"""The demo SAM2 and one generated clip, made once for all tests of the masklets."""

from collections.abc import Generator

import pytest
import torch

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


def _torch_threads(count: int) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread() -> Generator[None]:
    """So that sums run in the same order wherever they are compared."""
    yield from _torch_threads(1)


@pytest.fixture
def two_threads() -> Generator[None]:
    yield from _torch_threads(2)
