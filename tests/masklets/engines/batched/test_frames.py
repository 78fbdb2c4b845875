"""What the encoder reads is stock's to the bit, and made without disturbing torch's threads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from sam2.utils.misc import load_video_frames_from_jpg_images

from sam2vss_lib.masklets.engines.batched.encoder import Resizing, model_input


@pytest.mark.parametrize("size", [(120, 160), (301, 75)])
def test_video_input_is_stock_s_to_the_bit(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.jpg", quality=95)
    stock, _, _ = load_video_frames_from_jpg_images(
        str(tmp_path), 64, offload_video_to_cpu=True, compute_device=torch.device("cpu")
    )
    with Image.open(tmp_path / "0.jpg") as image:
        ours = model_input(np.array(image), 64, "video")
    assert ours.dtype == torch.float32
    assert torch.equal(ours, stock[0])


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("resizing", "more"), [("video", 0), ("image", 1)])
def test_video_input_starts_no_threads_of_torch(resizing: Resizing, more: int) -> None:
    """With more threads than cores, OpenMP puts all of them to sleep between operations."""

    def prepare() -> int:
        before = psutil.Process().num_threads()
        model_input(np.zeros((480, 640, 3), np.uint8), 256, resizing)
        return psutil.Process().num_threads() - before

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(prepare).result() == more
