"""Every part of the masklet engine gives on a GPU what it gives on a CPU, without mixed devices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.masklets.approximations import EXACT
from sam2vss_lib.masklets.engines.batched.chunks import first_alike
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import PackedMasks, pack
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.engines.batched.given import given_logits, given_masks
from sam2vss_lib.masklets.engines.batched.grid import propose, select
from sam2vss_lib.masklets.engines.batched.heads import Heads
from sam2vss_lib.masklets.engines.batched.memory.memories import Memories, Reach
from sam2vss_lib.masklets.engines.batched.memory.reader import MemoryReader
from sam2vss_lib.masklets.engines.batched.memory.writer import MemoryWriter
from sam2vss_lib.masklets.engines.batched.point_decoder import PointDecoder
from sam2vss_lib.masklets.engines.batched.segments import propose_segments
from sam2vss_lib.masklets.engines.batched.upscaling import Upscaler, image_order
from sam2vss_lib.masklets.engines.visible import visible_parts
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.stops import Stops
from tests.pretended_gpu.tensors import on_host

Frames = list[EncodedFrames]
LOOSE = MaskletSettings(
    points_per_side=3, pred_iou_thresh=0.05, stability_score_thresh=0.05, points_per_batch=4
)


def boxes(count: int, size: tuple[int, int] = (240, 320)) -> NDArray[np.bool_]:
    """(n, H, W) overlapping boxes."""
    masks = np.zeros((count, *size), bool)
    for index, mask in enumerate(masks):
        mask[20 * index : 20 * index + 80, 25 * index : 25 * index + 60] = True
    return masks


def logits(count: int, seed: int = 0) -> Tensor:
    """(n, 1, 64, 64) of blobs."""
    coarse = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(5 * coarse, size=(64, 64), mode="bilinear")


def remembered(model: Sam2Model, features: Frames, count: int) -> Memories:
    """Memories of n objects on two frames."""
    reach, memories = Reach(model.predictor), Memories()
    writer, heads = MemoryWriter(model.predictor), Heads(model.predictor)
    given = given_masks(boxes(count), model.predictor)
    present = torch.ones(count, 1, dtype=torch.bool, device=model.device)
    for frame in (0, 1):
        s16, low = features[frame].s16, given_logits(given)
        maps = writer.write(s16, low, present, given=frame == 0)
        pointers = heads.pointers_of_masks(given, features[frame])
        memories = memories.with_frame(frame, maps, pointers, reach)
    return memories


def run_encoder(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    side = model.predictor.image_size
    inputs = [model_input(images[0], side, kind) for kind in ("video", "image")]
    return encode(model, inputs)


def run_grid(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    candidates = propose(model, features[0], (240, 320), LOOSE)
    proposals, index = select(candidates, LOOSE.model_copy(update={"pred_iou_thresh": 0.3}))
    return candidates.boxes_xyxy, candidates.stability, proposals, index


def run_segments(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    points = np.array([[55.0, 60.0], [80.0, 80.0], [105.0, 100.0]])
    found = propose_segments(model, features[0], boxes(3), points, LOOSE)
    both = found.and_those_of(found)
    return both.packed, both.boxes_xyxy, both.scores(torch.tensor([0]))


def run_points(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    decoder = PointDecoder(model.predictor, features[0])
    points = torch.tensor([[30.0, 40.0], [100.0, 200.0]], device=model.device)
    prompted = decoder.decode(points)
    return prompted, decoder.masks(prompted, prompted.predicted_iou > 0)


def run_reader(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    reader = MemoryReader(model.predictor, Reach(model.predictor, EXACT))
    units = torch.tensor([3.0, 3.0, 7.0], device=model.device)
    return reader.read(2, features[2].s16, remembered(model, features, 3), units)


def run_writer(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    memories = remembered(model, features, 3).rows(torch.tensor([2, 0]))
    joined = Memories.joined([memories, memories.rows(slice(0, 1))])
    return [joined.maps[0].float(), joined.maps[1].float()]


def run_heads(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    heads = Heads(model.predictor)
    image = features[1].s16.flatten(2).transpose(1, 2).expand(3, -1, -1)
    image = image * torch.arange(1, 4, device=model.device)[:, None, None]
    given = given_masks(boxes(3), model.predictor)
    return heads.decode(image, features[1]), heads.pointers_of_masks(given, features[0])


def run_upscaling(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    image = features[1].s16.flatten(2).transpose(1, 2).expand(2, -1, -1)
    upscaled = Upscaler(model.predictor.sam_mask_decoder, features[1])(image)
    return image_order(upscaled[..., 0])


def run_visible(model: Sam2Model, features: Frames, images: list[Any]) -> Any:
    masks = logits(4)[:, 0].to(model.device)
    packed = pack((masks > 0).flatten(1))
    alike = first_alike(torch.cat([packed, packed[1:2]]), 0.9)
    unpacked = PackedMasks(packed.cpu().numpy(), (64, 64))[np.arange(4)]
    return visible_parts(masks), alike, unpacked


PARTS: dict[str, Callable[..., Any]] = {
    run.__name__.removeprefix("run_"): run
    for run in (
        run_encoder, run_grid, run_segments, run_points, run_reader, run_writer, run_heads,
        run_upscaling, run_visible,
    )
}  # fmt: skip


def arrays(found: Any) -> list[NDArray[Any]]:
    """All arrays and tensors of a result, in order."""
    if isinstance(found, Tensor):
        return [on_host(found).numpy()]
    if isinstance(found, np.ndarray):
        return [found]
    values = vars(found).values() if hasattr(found, "__dict__") else found
    return [array for value in values for array in arrays(value)]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_gives_the_same_on_both_devices(
    on_cpu: Sam2Model,
    on_cuda: Sam2Model,
    features: Frames,
    images: list[NDArray[np.uint8]],
    part: str,
) -> None:
    with torch.inference_mode():
        expected = arrays(PARTS[part](on_cpu, features, images))
        with pretended_gpu():
            there = [EncodedFrames(*(level.to("cuda") for level in one)) for one in features]
            found = arrays(PARTS[part](on_cuda, there, images))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        # memories are rounded to bfloat16, where a last bit may go the other way
        np.testing.assert_allclose(one, other, rtol=2e-2, atol=2e-3)


def test_bfloat16_reaches_the_model(
    on_cuda: Sam2Model, images: list[NDArray[np.uint8]], gpu: Stops
) -> None:
    inputs = [model_input(images[0], on_cuda.predictor.image_size, "video")]
    assert encode(on_cuda, inputs, precision="bfloat16").s4.dtype == torch.bfloat16
