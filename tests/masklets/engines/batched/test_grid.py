"""Proposals of a grid: stock's survivors and masks, for every setting from one run of the model."""

from functools import cache
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from sam2 import automatic_mask_generator
from sam2.utils.amg import batched_mask_to_box
from torchvision.ops.boxes import batched_nms

from sam2vss_lib.masklets.engines.batched.encoder import encode, model_input
from sam2vss_lib.masklets.engines.batched.grid import Candidates, propose, select
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.sam2 import Sam2Model, build_model, demo_config, load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings

LOOSE = MaskletSettings(
    points_per_side=8, pred_iou_thresh=0.4, stability_score_thresh=0.4, points_per_batch=32
)
SIZES = [(240, 320), (97, 131), (61, 40), (300, 211)]  # smaller and larger than the model's 256


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def _demo() -> Sam2Model:
    return load_sam2("demo")


@cache
def _image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Shaded rectangles and discs on a shaded ground, with a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    image = np.stack([80 + 60 * x, 120 - 50 * y, 90 + 40 * x * y], 2)
    for k in range(7):
        cy, cx, ry, rx = *rng.uniform(0.1, 0.9, 2), *rng.uniform(0.06, 0.25, 2)
        dy, dx = abs(y - cy) / ry, abs(x - cx) / rx
        inside = np.maximum(dy, dx) < 1 if k % 2 else np.hypot(dy, dx) < 1
        image[inside] = rng.uniform(20, 235, 3) + 30 * x[inside, None]
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def _propose(model: Sam2Model, image: NDArray[np.uint8], wanted: MaskletSettings) -> Candidates:
    features = encode(model, [model_input(image, model.predictor.image_size, "image")])
    return propose(model, features, (image.shape[0], image.shape[1]), wanted)


def _with(base: MaskletSettings, **changes: Any) -> MaskletSettings:
    return MaskletSettings(**{**base.model_dump(), **changes})


def _assert_same(found: Proposals, expected: Proposals) -> None:
    """Same survivors in the same order; scores to float rounding, masks to a pixel in 10,000."""
    assert found.masks.shape == expected.masks.shape
    assert (found.masks.dtype, found.stability.dtype) == (np.bool_, np.float32)
    np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, rtol=0, atol=2e-6)
    np.testing.assert_allclose(found.stability, expected.stability, rtol=0, atol=1e-3)
    assert (found.masks != expected.masks).sum() <= 1e-4 * expected.masks.size


@pytest.mark.parametrize(
    ("points_per_side", "points_per_batch", "size"),
    [(3, 2, SIZES[1]), (8, 64, SIZES[2]), (8, 5, SIZES[3]), (16, 64, SIZES[0])],
)
def test_equal_to_stock(points_per_side: int, points_per_batch: int, size: tuple[int, int]) -> None:
    model, image = _demo(), _image(*size)
    wanted = MaskletSettings(points_per_side=points_per_side, points_per_batch=points_per_batch)
    expected = ProposalGenerator(model, wanted)(image)
    found, index = select(_propose(model, image, wanted), wanted)
    assert len(expected.masks) >= 2
    _assert_same(found, expected)
    assert len(np.unique(index)) == len(index) == len(found.masks)


@cache
def _loosest(seed: int) -> Candidates:
    return _propose(_demo(), _image(*SIZES[seed], seed), LOOSE)


@pytest.mark.parametrize("box_nms_thresh", [0.3, 0.7])
@pytest.mark.parametrize("stability_score_thresh", [0.4, 0.65, 0.9])
@pytest.mark.parametrize("pred_iou_thresh", [0.4, 0.65, 0.9])
def test_stricter_settings_need_no_model(
    pred_iou_thresh: float, stability_score_thresh: float, box_nms_thresh: float
) -> None:
    wanted = _with(
        LOOSE,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        box_nms_thresh=box_nms_thresh,
    )
    found, index = select(_loosest(1), wanted)
    expected = ProposalGenerator(_demo(), wanted)(_image(*SIZES[1], 1))
    _assert_same(found, expected)
    assert np.array_equal(found.masks, _loosest(1).masks(torch.from_numpy(index)))


@settings(max_examples=12)
@given(
    seed=st.integers(0, 3),
    pred_iou_thresh=st.floats(0.4, 1.0),
    stability_score_thresh=st.floats(0.4, 1.0),
    box_nms_thresh=st.floats(0, 1),
)
def test_selection_equals_a_run_of_its_own(
    seed: int, pred_iou_thresh: float, stability_score_thresh: float, box_nms_thresh: float
) -> None:
    wanted = _with(
        LOOSE,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        box_nms_thresh=box_nms_thresh,
    )
    derived, _ = select(_loosest(seed), wanted)
    alone, _ = select(_propose(_demo(), _image(*SIZES[seed], seed), wanted), wanted)
    for a, b in zip(vars(derived).values(), vars(alone).values(), strict=True):
        assert np.array_equal(a, b)


def _compare_all(
    monkeypatch: pytest.MonkeyPatch, model: Sam2Model, image: NDArray[np.uint8], points: int
) -> tuple[Candidates, Proposals]:
    """All masks of all points, in the order of the points: the engine's and stock's."""
    wanted = _with(
        LOOSE,
        points_per_side=points,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=1.0,
    )
    kept: list[torch.Tensor] = []

    def spy(*args: Any, **kwargs: Any) -> torch.Tensor:
        kept.append(batched_nms(*args, **kwargs))
        return kept[-1]

    monkeypatch.setattr(automatic_mask_generator, "batched_nms", spy)
    found = ProposalGenerator(model, wanted)(image)
    back = np.argsort(kept[0].numpy())  # undo the sorting by score, in which rounding shows
    expected = Proposals(*(column[back] for column in vars(found).values()))
    return _propose(model, image, wanted), expected


@pytest.mark.parametrize("size", SIZES)
def test_every_mask_in_stocks_order(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    candidates, expected = _compare_all(monkeypatch, _demo(), _image(*size, 2), 8)
    assert len(candidates.predicted_iou) == len(expected.masks) == 3 * 8**2
    masks = candidates.masks(torch.arange(len(expected.masks)))
    assert abs(candidates.predicted_iou.numpy() - expected.predicted_iou).max() < 2e-6
    assert torch.equal(candidates.boxes_xyxy, batched_mask_to_box(torch.from_numpy(masks)))
    # rounding moves a pixel across a threshold in few masks, and never many in one
    pixels = (masks != expected.masks).sum((1, 2))
    assert pixels.max() <= 4
    assert (pixels > 0).mean() <= 0.1
    assert (candidates.stability.numpy() != expected.stability).mean() <= 0.1


@pytest.mark.parametrize("strict", [{"pred_iou_thresh": 1.0}, {"stability_score_thresh": 1.0}])
def test_no_survivor(strict: dict[str, float]) -> None:
    image, wanted = _image(*SIZES[1]), _with(LOOSE, **strict)
    for candidates in (_propose(_demo(), image, wanted), _propose(_demo(), image, LOOSE)):
        found, index = select(candidates, wanted)
        assert found.masks.shape == (0, *SIZES[1])
        assert found.predicted_iou.shape == found.stability.shape == index.shape == (0,)


@pytest.mark.parametrize(
    "asked",
    [
        {"pred_iou_thresh": 0.3},
        {"stability_score_thresh": 0.39},
        {"stability_score_offset": 1.0},
        {"points_per_side": 7},
    ],
)
def test_candidates_that_lack_something_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="another grid or thresholds"):
        select(_loosest(0), _with(LOOSE, **asked))


def _random_model(options: dict[str, Any], side_px: int) -> Sam2Model:
    """The demo architecture with other options and random weights."""
    config = OmegaConf.merge(demo_config(), {"image_size": side_px, **options})
    torch.manual_seed(3)
    model = build_model(cast(DictConfig, config))
    for parameter in model.sam_mask_decoder.parameters():  # scores and masks that vary
        parameter.data.add_(0.08 * torch.randn_like(parameter))
    return Sam2Model("random", model.eval(), "", "", torch.device("cpu"))


@pytest.mark.parametrize(
    "options",
    [
        {  # as the official SAM 2.1 configurations
            "sam_mask_decoder_extra_args": {
                "dynamic_multimask_via_stability": True,
                "dynamic_multimask_stability_delta": 0.05,
                "dynamic_multimask_stability_thresh": 0.98,
            },
        },
        {"pred_obj_scores": False, "pred_obj_scores_mlp": False, "fixed_no_obj_ptr": False},
        {"iou_prediction_use_sigmoid": False, "directly_add_no_mem_embed": False},
        {"use_high_res_features_in_sam": False},
    ],
    ids=["official", "no presence", "no sigmoid", "no fine features"],
)
def test_other_models(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    model, image = _random_model(options, 128), _image(75, 90)
    candidates, expected = _compare_all(monkeypatch, model, image, 4)
    masks = candidates.masks(torch.arange(len(expected.masks)))
    ious = candidates.predicted_iou.numpy()
    assert np.ptp(ious) > 1e-3
    assert masks.any()
    assert not masks.all()
    np.testing.assert_allclose(ious, expected.predicted_iou, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(candidates.stability.numpy(), expected.stability, atol=1e-3)
    assert (masks != expected.masks).mean() <= 1e-4
