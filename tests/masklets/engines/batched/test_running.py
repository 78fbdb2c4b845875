"""Settings of how the engine runs: none changes masks by more than the last bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import RunError, SettingsError
from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.engines.batched.grid import propose
from sam2vss_lib.masklets.engines.batched.heads import Heads
from sam2vss_lib.masklets.engines.batched.point_decoder import PointDecoder
from sam2vss_lib.masklets.engines.batched.running import fixed_size, model_to_run
from sam2vss_lib.masklets.engines.batched.tracker import TrackedFrame, WindowTracker
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.engines.batched.test_tracker import encoded, scene, some_masks

SIZE, FRAMES, OBJECTS = (120, 160), 5, 11


@pytest.fixture(scope="module")
def features(demo_model: Sam2Model) -> list[EncodedFrames]:
    return encoded(demo_model, scene(SIZE)[:FRAMES])


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be compiled runs as it is, so that the rest of it can be compared to the bit."""
    monkeypatch.setattr(torch, "compile", lambda function, **_options: function)


def tracked(model: Sam2Model, features: list[EncodedFrames], **changes: Any) -> list[TrackedFrame]:
    """Objects of three lengths, so that batches shrink; those that merge have one."""
    tracker = WindowTracker(
        model, approximations=Approximations.model_validate(changes), max_objects_per_batch=8
    )
    lengths = np.array([FRAMES, 3, 4] * 4)[:OBJECTS] if "merge_iou" not in changes else FRAMES
    masks = some_masks(SIZE, OBJECTS)
    if "merge_iou" in changes:
        masks[6:] = masks[:5]
    return list(tracker.track(features.__getitem__, masks, lengths))


@pytest.mark.parametrize("changes", [{}, {"merge_iou": 0.9, "memory_stride_frames": 2}])
@pytest.mark.usefixtures("not_compiled")
def test_filling_batches_up_changes_nothing(
    demo_model: Sam2Model,
    features: list[EncodedFrames],
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = tracked(demo_model, features, **changes)
    sizes, decode = list[int](), Heads.decode
    monkeypatch.setattr(
        Heads, "decode", lambda self, image, f: sizes.append(len(image)) or decode(self, image, f)
    )
    filled = tracked(demo_model, features, **changes, compile_step=True)
    for ours, expected in zip(filled, plain, strict=True):
        assert torch.equal(ours.low, expected.low)
        np.testing.assert_array_equal(ours.rows, expected.rows)
        np.testing.assert_array_equal(ours.object_score, expected.object_score)
    assert set(sizes) <= {1, 2, 4, 8}
    assert 8 in sizes


def test_sizes_are_few_and_not_much_larger() -> None:
    assert [fixed_size(n) for n in (1, 2, 3, 4, 5, 8, 9, 16, 17, 33)] == [
        *(1, 2, 4, 4, 8, 8, 16, 16, 32, 48)
    ]
    assert len({fixed_size(n) for n in range(1, 65)}) == 8


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex")
def test_a_compiled_step_gives_the_same_masks(
    demo_model: Sam2Model, features: list[EncodedFrames]
) -> None:
    same_masks(tracked(demo_model, features, compile_step=True), tracked(demo_model, features))


def test_a_step_without_a_compiler_is_said_in_one_line(
    demo_model: Sam2Model, features: list[EncodedFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(function: Callable[..., Any], **_options: Any) -> Callable[..., Any]:
        def fail(*_arguments: Any) -> Any:
            raise BackendCompilerFailed(compiled, RuntimeError("no g++\nlong story"), None)

        return fail

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(
        RunError, match=r"^torch\.compile: no g\+\+; .*, or leave compile_step off$"
    ):
        tracked(demo_model, features, compile_step=True)


@pytest.mark.usefixtures("not_compiled")
@pytest.mark.parametrize(
    "changes",
    [
        {"attention_backend": "math"},
        {"channels_last": True},
        {"compile_encoder": True},
        {"compile_encoder": True, "channels_last": True, "attention_backend": "flash"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_masks_and_features_are_the_same(
    demo_model: Sam2Model, features: list[EncodedFrames], changes: dict[str, Any]
) -> None:
    same_masks(tracked(demo_model, features, **changes), tracked(demo_model, features))
    inputs = [model_input(frame, 256, "video") for frame in scene(SIZE)[:2]]
    model = model_to_run(demo_model, Approximations.model_validate(changes))
    for ours, expected in zip(encode(model, inputs), encode(demo_model, inputs), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_channels_are_innermost_in_a_copy(demo_model: Sam2Model) -> None:
    def innermost(model: Sam2Model) -> set[bool]:
        found = [p for p in model.predictor.image_encoder.parameters() if p.ndim == 4]
        wide = [p for p in found if p.shape[1] > 1 and p.shape[2] > 1]
        return {p.is_contiguous(memory_format=torch.channels_last) for p in wide}

    model = model_to_run(demo_model, Approximations(channels_last=True))
    assert any(
        p.is_contiguous(memory_format=torch.channels_last)
        for p in model.predictor.image_encoder.encoder.parameters()
        if p.ndim == 4 and min(p.shape[1:]) > 1
    )
    assert innermost(demo_model) == {False}


def test_attention_kernels_that_the_device_has_not_are_said_in_one_line(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    settings = MaskletSettings(points_per_side=2, window=2, attention_backend="cudnn")
    with pytest.raises(SettingsError, match=r"attention_backend cudnn: not to be had on cpu") as e:
        generate_masklets(small_world, demo_model, settings, tmp_path)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.glob("*.parquet"))
    with pytest.raises(SettingsError, match="'attention_backend'"):
        MaskletSettings.from_preset("exact", attention_backend="fast")


def test_points_that_do_not_fit_run_in_halves(
    demo_model: Sam2Model,
    features: list[EncodedFrames],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = MaskletSettings(points_per_side=2, pred_iou_thresh=0.1)
    expected = propose(demo_model, features[0], SIZE, settings)
    sizes, decode = list[int](), PointDecoder.decode

    def limited(self: PointDecoder, points: torch.Tensor) -> Any:
        sizes.append(len(points))
        if len(points) > most:
            raise torch.OutOfMemoryError("pretended")
        return decode(self, points)

    monkeypatch.setattr(PointDecoder, "decode", limited)
    most = 1
    found = propose(demo_model, features[0], SIZE, settings)
    torch.testing.assert_close(found.boxes_xyxy, expected.boxes_xyxy, rtol=0, atol=2)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    assert "out of memory" in caplog.text
    most = 0
    with pytest.raises(RunError, match=r"^device cpu: too little memory for a point; "):
        propose(demo_model, features[0], SIZE, settings)


@pytest.mark.usefixtures("not_compiled")
def test_a_store_says_how_its_masklets_were_run(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    how: dict[str, Any] = {
        "attention_backend": "math", "channels_last": True, "compile_step": True
    }  # fmt: skip
    plain = MaskletSettings(points_per_side=3, window=3, pred_iou_thresh=0.3)
    name = small_world.clips[0].name
    stored = {}
    for changes in ({}, how):
        settings = plain.model_copy(update=changes)
        folder = tmp_path / str(len(changes))
        generate_masklets(small_world, demo_model, settings, folder)
        found = MaskletStore(folder).metadata(name)["settings"]
        assert {key: found.get(key) for key in how} == {**dict.fromkeys(how), **changes}
        stored[len(changes)] = MaskletStore(folder).read(name).table
    areas = [stored[key]["area"].to_numpy() for key in (0, 3)]
    np.testing.assert_allclose(areas[1], areas[0], atol=3)


def same_masks(found: list[TrackedFrame], expected: list[TrackedFrame]) -> None:
    for ours, plain in zip(found, expected, strict=True):
        a, b = ours.logits > 0, plain.logits > 0
        assert (a != b).float().mean() < 1e-4
        torch.testing.assert_close(ours.low, plain.low, rtol=1e-2, atol=2e-2)
