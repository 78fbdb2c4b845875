"""Propagation of all objects together: the masks of sam2's own predictor, one object at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.engines.batched.memory.memories import Reach
from sam2vss_lib.masklets.engines.batched.tracker import TrackedFrame, WindowTracker
from sam2vss_lib.masklets.engines.stock.propagation import FrameMasks, propagate
from sam2vss_lib.masklets.sam2 import Sam2Model, build_model, demo_config

FRAMES = 9
#: what distinguishes the official configurations from the demo model's, by family
SAM21 = {
    "num_maskmem": 7,
    "max_obj_ptrs_in_encoder": 16,
    "multimask_output_for_tracking": True,
    "binarize_mask_from_pts_for_mem_enc": True,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
}
SAM2 = SAM21 | {
    "no_obj_embed_spatial": False,
    "add_tpos_enc_to_obj_ptrs": False,
    "proj_tpos_enc_in_obj_ptrs": False,
    "use_signed_tpos_enc_to_obj_ptrs": False,
}
#: a single mask unless it is unstable, codes of time without projection, memories two frames apart
UNUSUAL = SAM21 | {
    "multimask_output_for_tracking": False,
    "proj_tpos_enc_in_obj_ptrs": False,
    "memory_temporal_stride_for_eval": 2,
    "num_maskmem": 4,
    "max_obj_ptrs_in_encoder": 3,
    "soft_no_obj_ptr": True,
    "fixed_no_obj_ptr": False,
}


def scene(size: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """FRAMES images: a block that leaves to the right, one that is covered, one that stays."""
    rng = np.random.default_rng(seed)
    h, w = size
    background = np.array(
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((w, h)), np.uint8
    )
    images = []
    for t in range(FRAMES):
        image = background.copy()
        image[h // 2 : h // 2 + h // 4, w // 8 : w // 4] = (20, 200, 40)
        image[h // 8 : h // 3, w // 2 + t * w // 12 : w // 2 + w // 5 + t * w // 12] = (220, 30, 30)
        image[h // 2 : h // 2 + h // 3, max(0, t - 3) * w // 12 : max(0, t - 2) * w // 12] = 90
        images.append(image)
    return images


def some_masks(size: tuple[int, int], count: int) -> np.ndarray:
    """Both blocks, nothing, everything, then boxes."""
    h, w = size
    masks = np.zeros((count, h, w), bool)
    rng = np.random.default_rng(1)
    for mask in masks:
        y, x = rng.integers(0, h // 2), rng.integers(0, w // 2)
        mask[y : y + h // 3, x : x + w // 3] = True
    special = np.zeros((4, h, w), bool)
    special[0, h // 8 : h // 3, w // 2 : w // 2 + w // 5] = True
    special[1, h // 2 : h // 2 + h // 4, w // 8 : w // 4] = True
    special[3] = True
    masks[:4] = special[:count]
    return masks


def files(images: Sequence[np.ndarray], folder: Path) -> list[Path]:
    paths = [folder / f"{index}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def encoded(model: Sam2Model, images: Sequence[np.ndarray]) -> list[EncodedFrames]:
    """Frame by frame, as stock does."""
    side = model.predictor.image_size
    return [encode(model, [model_input(image, side, "video")]) for image in images]


def assert_same(found: Sequence[TrackedFrame], stock: Sequence[FrameMasks]) -> None:
    """Equal but for isolated pixels.

    Sums run in another order than stock's, which changes logits by about 1e-4; memories are then
    rounded to bfloat16, where a number near the middle of two may go the other way.
    """
    assert [part.offset for part in found] == [part.offset for part in stock]
    for part, expected in zip(found, stock, strict=True):
        assert part.objects.tolist() == part.rows.tolist() == list(range(len(expected.logits)))
        assert part.logits.dtype == torch.float32
        assert part.logits.shape == expected.logits.shape
        assert part.object_score.dtype == np.float32
        np.testing.assert_allclose(part.object_score, expected.object_score, rtol=1e-3, atol=5e-3)
        a, b = part.logits > 0, expected.logits > 0
        overlap = (a & b).flatten(1).sum(1).double()
        union = (a | b).flatten(1).sum(1)
        # of a single small object, one pixel is more than that already
        one_off = union - overlap <= 1
        assert torch.where(one_off, 1.0, overlap / union).mean() >= 0.9995
        assert (part.logits - expected.logits).abs().max() < 0.05


def with_options(demo: Sam2Model, options: dict[str, Any]) -> Sam2Model:
    """The demo model's weights in another configuration; what is new there is random."""
    torch.manual_seed(0)
    predictor = build_model(cast(DictConfig, OmegaConf.merge(demo_config(), options)))
    fits = {name: value.shape for name, value in predictor.state_dict().items()}
    weights = demo.predictor.state_dict()
    shared = {name: x for name, x in weights.items() if fits.get(name) == x.shape}
    predictor.load_state_dict(shared, strict=False)
    # the demo model rarely takes an object for absent: let this one do so about half of the time
    predictor.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data -= 10
    predictor.fill_hole_area = 0
    return Sam2Model("options", predictor.eval(), "", "", torch.device("cpu"))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return scene((120, 160))


@pytest.fixture(scope="module")
def features(demo_model: Sam2Model, images: list[np.ndarray]) -> list[EncodedFrames]:
    return encoded(demo_model, images)


@pytest.fixture(scope="module")
def stock(
    demo_model: Sam2Model, images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> list[FrameMasks]:
    """Nine objects through all frames."""
    paths = files(images, tmp_path_factory.mktemp("scene"))
    return list(propagate(demo_model, paths, some_masks((120, 160), 9)))


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_equal_to_stock(
    demo_model: Sam2Model,
    features: list[EncodedFrames],
    stock: list[FrameMasks],
    count: int,
    batch: int,
) -> None:
    tracker = WindowTracker(demo_model, max_objects_per_batch=batch)
    found = list(tracker.track(features.__getitem__, some_masks((120, 160), 9)[:count], FRAMES))
    # objects do not see each other in stock, so these are the objects of a run of their own
    assert_same(
        found, [FrameMasks(p.offset, p.logits[:count], p.object_score[:count]) for p in stock]
    )
    assert tracker.halvings == 0


def test_masks_do_not_depend_on_the_batch(
    demo_model: Sam2Model, features: list[EncodedFrames]
) -> None:
    masks = some_masks((120, 160), 17)
    alone, some, together = (
        torch.stack(
            [
                part.logits
                for part in WindowTracker(demo_model, max_objects_per_batch=batch).track(
                    features.__getitem__, masks, FRAMES
                )
            ]
        )
        for batch in (1, 8, 17)
    )
    # equal to the bit where this was written; on another processor sums may take another order
    torch.testing.assert_close(alone, some, rtol=0, atol=1e-4)
    torch.testing.assert_close(together, some, rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [SAM21, SAM2, UNUSUAL], ids=["sam2.1", "sam2", "unusual"])
def test_other_configurations(
    demo_model: Sam2Model, images: list[np.ndarray], tmp_path: Path, options: dict[str, Any]
) -> None:
    model = with_options(demo_model, options)
    masks = some_masks((120, 160), 5)
    expected = list(propagate(model, files(images, tmp_path), masks))
    features = encoded(model, images)
    tracker = WindowTracker(model, max_objects_per_batch=3)
    assert_same(list(tracker.track(features.__getitem__, masks, FRAMES)), expected)
    present = np.stack([part.object_score > 0 for part in expected[1:]])
    assert 0.1 < present.mean() < 0.9


@pytest.mark.parametrize(("size", "frames"), [((97, 131), 3), ((256, 256), 2), ((300, 41), 1)])
def test_sizes_and_short_windows(
    demo_model: Sam2Model, tmp_path: Path, size: tuple[int, int], frames: int
) -> None:
    images, masks = scene(size)[:frames], some_masks(size, 4)
    expected = list(propagate(demo_model, files(images, tmp_path), masks))
    features = encoded(demo_model, images)
    found = list(WindowTracker(demo_model).track(features.__getitem__, masks, frames))
    assert_same(found, expected)


def test_each_object_has_a_window_of_its_own_length(
    demo_model: Sam2Model,
    images: list[np.ndarray],
    features: list[EncodedFrames],
    stock: list[FrameMasks],
    tmp_path: Path,
) -> None:
    masks = some_masks((120, 160), 5)
    lengths = np.array([2, FRAMES, 4, 1, 4])
    tracker = WindowTracker(demo_model, max_objects_per_batch=2)
    found = list(tracker.track(features.__getitem__, masks, lengths))
    assert [part.objects.tolist() for part in found] == [
        [i for i in range(5) if lengths[i] > t] for t in range(FRAMES)
    ]
    paths = files(images, tmp_path)
    for index, length in enumerate(lengths.tolist()):
        alone = propagate(demo_model, paths[:length], masks[index : index + 1])
        own = [
            TrackedFrame(
                part.offset,
                np.zeros(1, np.int64),
                part.low[part.objects == index],
                np.zeros(1, np.int64),
                part.presence[part.objects == index],
                part.size_px,
            )
            for part in found[:length]
        ]
        assert_same(own, list(alone))


def test_span_says_which_windows_share_tracks(
    demo_model: Sam2Model, features: list[EncodedFrames]
) -> None:
    tracker = WindowTracker(demo_model)
    limit = demo_model.predictor.max_obj_ptrs_in_encoder  # 8
    assert [tracker.age_unit(n) for n in (2, 4, limit, limit + 1, 32)] == [1, 3, 7, 7, 7]
    masks = some_masks((120, 160), 4)
    runs = {n: list(tracker.track(features.__getitem__, masks, n)) for n in (4, 8, 9)}
    assert torch.equal(runs[8][7].logits, runs[9][7].logits)
    assert not torch.equal(runs[4][3].logits, runs[9][3].logits)


def test_frames_are_asked_for_once_and_in_order(
    demo_model: Sam2Model, features: list[EncodedFrames]
) -> None:
    asked: list[int] = []

    def give(offset: int) -> EncodedFrames:
        asked.append(offset)
        return features[offset]

    steps = WindowTracker(demo_model, max_objects_per_batch=2).track(
        give, some_masks((120, 160), 5), 3
    )
    for offset, _ in enumerate(steps):
        assert asked == list(range(offset + 1))
        assert not torch.is_inference_mode_enabled()


def test_out_of_memory_halves_batches(
    demo_model: Sam2Model,
    features: list[EncodedFrames],
    stock: list[FrameMasks],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    _limit_objects(monkeypatch, lambda offset: 9 if offset < 2 else 1, sizes)
    tracker = WindowTracker(demo_model, max_objects_per_batch=8)
    found = list(tracker.track(features.__getitem__, some_masks((120, 160), 9), FRAMES))
    assert_same(found, stock)
    assert tracker.max_objects_per_batch == 1
    assert tracker.halvings == 2
    assert sizes[:8] == [5, 4, 5, 4, 5, 2, 1, 1]


def test_too_little_memory_for_one_object(
    demo_model: Sam2Model, features: list[EncodedFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit_objects(monkeypatch, lambda _offset: 0, [])
    tracker = WindowTracker(demo_model, max_objects_per_batch=4)
    with pytest.raises(RunError, match="single object"):
        next(tracker.track(features.__getitem__, some_masks((120, 160), 4), 2))


def _limit_objects(
    monkeypatch: pytest.MonkeyPatch, limit: Callable[[int], int], sizes: list[int]
) -> None:
    """A device on which a batch above the limit does not fit."""
    step = WindowTracker._step

    def limited(self: WindowTracker, offset: int, *args: Any) -> Any:
        sizes.append(len(args[-1].objects))
        if sizes[-1] > limit(offset):
            raise torch.OutOfMemoryError("pretended")
        return step(self, offset, *args)

    monkeypatch.setattr(WindowTracker, "_step", limited)


def test_bfloat16(demo_model: Sam2Model, images: list[np.ndarray], tmp_path: Path) -> None:
    masks = some_masks((120, 160), 2)
    expected = propagate(demo_model, files(images[:3], tmp_path), masks, precision="bfloat16")
    side = demo_model.predictor.image_size
    inputs = [model_input(image, side, "video") for image in images[:3]]
    features = [encode(demo_model, [x], precision="bfloat16") for x in inputs]
    tracker = WindowTracker(demo_model, precision="bfloat16")
    for part, other in zip(tracker.track(features.__getitem__, masks, 3), expected, strict=True):
        assert part.logits.dtype == torch.float32
        assert not torch.is_autocast_enabled("cpu")
        a, b = part.logits > 0, other.logits > 0
        assert ((a & b).sum() / (a | b).sum()) > 0.95


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("maps", [1, 2, 3, 7])
@pytest.mark.parametrize("pointers", [1, 2, 16])
def test_nothing_is_dropped_too_early(stride: int, maps: int, pointers: int) -> None:
    class Options:
        num_maskmem = maps
        memory_temporal_stride_for_eval = stride
        max_obj_ptrs_in_encoder = pointers

    reach = Reach(Options)
    kept_maps, kept_pointers = {0}, {0}
    for frame in range(1, 40):
        read = [t for t, _ in reach.map_frames(frame)]
        assert set(read) <= kept_maps
        assert set(reach.pointer_frames(frame)) <= kept_pointers
        kept_maps = {t for t in kept_maps if reach.maps(t, frame)} | {frame}
        kept_pointers = {t for t in kept_pointers if reach.pointers(t, frame)} | {frame}
    assert len(kept_maps) <= maps + 2
    assert len(kept_pointers) <= pointers + 1


def test_options_that_are_not_covered(demo_model: Sam2Model) -> None:
    model = with_options(demo_model, {"use_mask_input_as_output_without_sam": False})
    with pytest.raises(SettingsError, match=r"use_mask_input_as_output_without_sam.*engine: stock"):
        WindowTracker(model)
    with pytest.raises(SettingsError, match="max_objects_per_batch"):
        WindowTracker(demo_model, max_objects_per_batch=0)
