"""Tracking on a GPU: the masks of the CPU, and how often the host waits between two frames."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.tracker import TrackedFrame, WindowTracker
from sam2vss_lib.masklets.filling.fill import fill_masklets
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from tests.masklets.common import read_plainly
from tests.masklets.filling.conftest import FILL, OLD, write_old
from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.stops import Kind, Stops
from tests.pretended_gpu.tensors import on_host
from tests.pretended_gpu.test_engine import boxes

Frames = list[EncodedFrames]
#: answers that the model step waits for between two frames
READS_A_FRAME = 0
#: answers that the thread of the model waits for on a frame that is written: another one does so
READS_A_WRITTEN_FRAME = 0
#: copies to the device for which it waits: which masklets are compared for their visible parts
UPLOADS_A_WRITTEN_FRAME = 0
LENGTHS = np.array([4, 2, 4, 3, 4, 4, 2])  # so that objects leave, and are put in order again
SETTINGS = MaskletSettings(
    window=4, points_per_side=3, pred_iou_thresh=0.05, stability_score_thresh=0.05
)


def tracked(
    model: Sam2Model, features: Frames, lengths: Any = LENGTHS, count: int = 7, **options: Any
) -> Iterator[TrackedFrame]:
    """Objects in batches of three."""
    tracker = WindowTracker(model, max_objects_per_batch=3, **options)
    there = [EncodedFrames(*(level.to(model.device) for level in one)) for one in features]
    return tracker.track(there.__getitem__, boxes(count), lengths)


@pytest.mark.parametrize(
    "approximations",
    [{}, {"memory_stride_frames": 2}, {"recent_memories": 1}, {"merge_iou": 0.6}],
    ids=str,
)
def test_masks_are_those_of_the_cpu(
    on_cpu: Sam2Model, on_cuda: Sam2Model, features: Frames, approximations: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"approximations": Approximations(**approximations)}
    lengths = 4 if "merge_iou" in approximations else LENGTHS
    expected = list(tracked(on_cpu, features, lengths, **options))
    with pretended_gpu():
        found = list(tracked(on_cuda, features, lengths, **options))
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected, strict=True):
        assert one.objects.tolist() == other.objects.tolist()
        assert one.rows.tolist() == other.rows.tolist()
        np.testing.assert_allclose(one.object_score, other.object_score, rtol=1e-3, atol=5e-3)
        np.testing.assert_allclose(on_host(one.low), other.low, atol=0.05)


def test_bfloat16_follows_the_same_objects(on_cuda: Sam2Model, features: Frames) -> None:
    with pretended_gpu():
        found = [list(tracked(on_cuda, features, precision=p)) for p in ("float32", "bfloat16")]
    for one, other in zip(*found, strict=True):
        a, b = (on_host(part.low) > 0 for part in (one, other))
        assert (a == b).float().mean() > 0.99


def stops_by_frame(parts: Iterator[TrackedFrame], stops: Stops) -> list[Stops]:
    stops.taken()
    return [stops.taken() for _ in parts]


def test_the_model_step_does_not_wait_between_frames(
    on_cuda: Sam2Model, features: Frames, gpu: Stops
) -> None:
    found = stops_by_frame(tracked(on_cuda, features), gpu)
    assert len(found) == 4
    for stops in found:
        assert len(stops.of("read")) <= READS_A_FRAME, str(stops)
        assert not stops.of("upload") + stops.of("beside"), str(stops)


@pytest.mark.parametrize("count", [1, 7])
def test_more_objects_do_not_ask_more_often(
    on_cuda: Sam2Model, features: Frames, gpu: Stops, count: int
) -> None:
    found = stops_by_frame(tracked(on_cuda, features, 4, count=count), gpu)
    assert [len(stops.of("read") + stops.of("upload")) for stops in found] == [READS_A_FRAME] * 4


def first_frames(world: Dataset, count: int) -> Dataset:
    """The clip cut down."""
    clip = world.clips[0]
    return replace(world, clips=(replace(clip, frame_files=clip.frame_files[:count]),))


@pytest.fixture(scope="module")
def stores(
    on_cpu: Sam2Model, on_cuda: Sam2Model, world: Dataset, tmp_path_factory: Any
) -> tuple[Path, dict[int, Stops]]:
    """Masklets by the CPU, and by the GPU of 1, 2 and 4 frames: folders, and stops by frames."""
    root, stops = tmp_path_factory.mktemp("stores"), dict[int, Stops]()
    generate_masklets(world, on_cpu, SETTINGS, root / "cpu")
    for count in (1, 2, 4):  # the first makes what is kept for all clips
        with pretended_gpu() as here:
            generate_masklets(first_frames(world, count), on_cuda, SETTINGS, root / str(count))
            stops[count] = here.taken()
    return root, stops


def test_stores_are_those_of_the_cpu(stores: tuple[Path, Any], world: Dataset) -> None:
    name = f"{world.clips[0].name}.parquet"
    (expected, masks), (found, own) = (read_plainly(stores[0] / k / name) for k in ("cpu", "4"))
    values = [c for c in expected.columns if c not in ("rle", "rle_visible", *"xywh", "area")]
    found, expected = found.filter(values), expected.filter(values)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-2, atol=2e-2)
    for column in ("rle", "rle_visible"):
        assert (own[column] == masks[column]).mean() > 0.9999


@pytest.mark.parametrize(
    ("kind", "most"), [("read", READS_A_WRITTEN_FRAME), ("upload", UPLOADS_A_WRITTEN_FRAME)]
)
def test_a_written_frame_makes_the_host_wait_so_often(
    stores: tuple[Path, dict[int, Stops]], kind: Kind, most: int
) -> None:
    """What two frames more of a window ask for; its anchor's proposals ask by themselves."""
    few, many = stores[1][2], stores[1][4]
    assert len(many.of(kind)) - len(few.of(kind)) <= 2 * most, str(many)


def test_a_fill_is_that_of_the_cpu(
    on_cpu: Sam2Model, on_cuda: Sam2Model, world: Dataset, tmp_path: Path
) -> None:
    old = write_old(world, on_cpu, tmp_path / "old")
    fill_masklets(world, on_cpu, OLD, FILL, old, tmp_path / "cpu")
    with pretended_gpu():
        fill_masklets(world, on_cuda, OLD, FILL, old, tmp_path / "cuda")
    name = f"{world.clips[0].name}.parquet"
    (expected, masks), (found, own) = (read_plainly(tmp_path / k / name) for k in ("cpu", "cuda"))
    assert found["masklet"].tolist() == expected["masklet"].tolist()
    assert max(found["masklet"].tolist()) > 1
    assert (own["rle"] == masks["rle"]).mean() > 0.9999
