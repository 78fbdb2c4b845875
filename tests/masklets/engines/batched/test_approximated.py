"""The engine with approximations: it does what they say, and its masklets stay masklets."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch._dynamo.exc import BackendCompilerFailed

from sam2vss_lib.errors import RunError
from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames, encode, model_input
from sam2vss_lib.masklets.engines.batched.memory.memories import Memories, Reach
from sam2vss_lib.masklets.engines.batched.memory.reader import MemoryReader
from sam2vss_lib.masklets.engines.batched.memory.writer import MemoryWriter
from sam2vss_lib.masklets.engines.batched.running import model_to_run
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.engines.batched.test_properties import SIDES_PX, model, write_clip
from tests.masklets.engines.batched.test_tracker import encoded, scene, some_masks

SIZE, FRAMES = (120, 160), 6
COMPILED = Approximations(compile_encoder=True)


@pytest.fixture(scope="module")
def features(demo_model: Sam2Model) -> list[EncodedFrames]:
    return encoded(demo_model, scene(SIZE)[:FRAMES])


def tracked(
    demo_model: Sam2Model, features: list[EncodedFrames], **changes: Any
) -> list[torch.Tensor]:
    tracker = WindowTracker(demo_model, approximations=Approximations.model_validate(changes))
    parts = tracker.track(features.__getitem__, some_masks(SIZE, 3), FRAMES)
    return [part.logits[torch.from_numpy(part.rows)] for part in parts]


@pytest.mark.parametrize(
    ("without_effect", "changes"),
    [
        ({"recent_memories": 3}, {"recent_memories": 2}),  # the demo model has three
        ({"merge_iou": 1.0}, {"memory_stride_frames": 2}),
    ],
)
def test_bitwise_exact_where_nothing_is_left_out(
    demo_model: Sam2Model,
    features: list[EncodedFrames],
    without_effect: dict[str, Any],
    changes: dict[str, Any],
) -> None:
    exact = tracked(demo_model, features)
    same, other = (tracked(demo_model, features, **c) for c in (without_effect, changes))
    assert all(torch.equal(a, b) for a, b in zip(same, exact, strict=True))
    assert not torch.equal(other[-1], exact[-1])


def test_fewer_memories_are_read(demo_model: Sam2Model) -> None:
    predictor, side = demo_model.predictor, 16
    pointers = 2 * 128 // 32  # of two frames, each in as many tokens as it takes

    def tokens(frame: int, **changes: Any) -> Any:
        approximations = Approximations.model_validate(changes)
        reach = Reach(predictor, approximations)
        reader = MemoryReader(predictor, reach)
        maps = {0: torch.rand(2, side**2, 32)}
        maps |= {t: torch.rand(2, side**2, 32) for t in range(1, frame) if reach.remembers(t)}
        seen = Memories(maps, {t: torch.rand(2, 128) for t in range(frame)})
        reach.pointer_frames = lambda _frame: [0, frame - 1]  # type: ignore[method-assign]
        return reader._tokens(frame, seen, torch.ones(2))

    assert tokens(5).values.shape[1] == 4 * side**2 + pointers
    assert tokens(5, recent_memories=1).values.shape[1] == 2 * side**2 + pointers
    assert tokens(5, memory_stride_frames=3).values.shape[1] == 2 * side**2 + pointers


def test_memories_are_made_of_every_third_frame_only(
    demo_model: Sam2Model, features: list[EncodedFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    write = MemoryWriter.write
    monkeypatch.setattr(
        MemoryWriter, "write", lambda self, *a, **k: written.append(a) or write(self, *a, **k)
    )
    tracked(demo_model, features, memory_stride_frames=3)
    assert len(written) == 2  # frames 0 and 3; nothing reads that of the last, 5
    tracked(demo_model, features, recent_memories=0)
    assert len(written) == 3  # frame 0
    tracked(demo_model, features)
    assert len(written) == 3 + FRAMES - 1


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("recent", [0, 1, 2, None])
def test_nothing_is_dropped_too_early(
    demo_model: Sam2Model, stride: int, recent: int | None
) -> None:
    changes = Approximations(memory_stride_frames=stride, recent_memories=recent)
    reach, kept = Reach(demo_model.predictor, changes), {0}
    for frame in range(1, 40):
        read = [t for t, _ in reach.map_frames(frame)]
        assert read == sorted(set(read))
        assert len(read) <= 1 + (3 if recent is None else recent)
        assert set(read) <= kept
        kept = {t for t in kept if reach.maps(t, frame)}
        kept |= {frame} if reach.remembers(frame) else set()
        assert len(kept) <= 5


def test_a_compiled_encoder_reads_frames_one_by_one(
    demo_model: Sam2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def compiled(encoder: torch.nn.Module, *, dynamic: bool) -> Any:
        assert not dynamic
        return lambda batch: sizes.append(len(batch)) or encoder(batch)

    monkeypatch.setattr(torch, "compile", compiled)
    inputs = [model_input(frame, 256, "video") for frame in scene(SIZE)[:3]]
    found = encode(model_to_run(demo_model, COMPILED), inputs)
    assert sizes == [1, 1, 1]
    for ours, expected in zip(found, encode(demo_model, inputs), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert sizes == [1, 1, 1]  # the model itself is as it was


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compiled_encoder_gives_the_same_features(demo_model: Sam2Model) -> None:
    inputs = [model_input(frame, 256, "video") for frame in scene(SIZE)[:2]]
    found = encode(model_to_run(demo_model, COMPILED), inputs)
    for ours, expected in zip(found, encode(demo_model, inputs), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_without_a_compiler_there_is_one_line(
    demo_model: Sam2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(encoder: torch.nn.Module, *, dynamic: bool) -> Any:
        def fail(batch: torch.Tensor) -> Any:
            raise BackendCompilerFailed(compiled, RuntimeError("no g++\nlong story"), None)

        return fail

    monkeypatch.setattr(torch, "compile", compiled)
    inputs = [model_input(scene(SIZE)[0], 256, "video")]
    with pytest.raises(RunError, match=r"^torch\.compile: .*; install a C") as caught:
        encode(model_to_run(demo_model, COMPILED), inputs)
    assert "\n" not in str(caught.value)


@settings(max_examples=6)
@given(
    size=st.tuples(SIDES_PX, SIDES_PX),
    frames=st.integers(1, 5),
    pred_iou_thresh=st.sampled_from([0.05, 1.0]),
    points_per_side=st.integers(1, 3),
    merge_iou=st.sampled_from([None, 0.6]),
    stride=st.integers(1, 3),
    recent=st.integers(0, 3),
)
@example((64, 48), 1, 0.05, 2, 0.6, 3, 1)  # one frame
@example((64, 48), 3, 1.0, 2, 0.6, 3, 1)  # no proposals
@example((40, 61), 5, 0.05, 1, 0.6, 2, 0)  # an object, or three
def test_masklets_are_whole(
    size: tuple[int, int],
    frames: int,
    pred_iou_thresh: float,
    points_per_side: int,
    merge_iou: float | None,
    stride: int,
    recent: int,
) -> None:
    chosen = MaskletSettings(
        window=3,
        points_per_side=points_per_side,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=0.05,
        share_anchor_encoding=True,
        merge_iou=merge_iou,
        memory_stride_frames=stride,
        recent_memories=recent,
    )
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_clip(Path(folder) / "data", size, frames, seed=0)
        run = generate_masklets(dataset, model(), chosen, Path(folder) / "store")
        stored = MaskletStore(Path(folder) / "store").read("clip")  # reading checks every row
    assert stored.num_frames == frames
    assert stored.table.num_rows == run.object_frames
    for window in stored.windows():
        ids = [part.values("masklet").tolist() for part in window]
        assert ids == [ids[0]] * len(ids)  # merged or not, a masklet has a row on every frame
        assert len(window) == min(3, frames - window[0].frame)
        for part in window:
            assert part.masks().shape == (len(ids[0]), *size)
            assert (part.masks("rle_visible").sum(0) <= 1).all()
