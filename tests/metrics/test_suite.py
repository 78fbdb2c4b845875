"""The suite's contract: what a result holds, what is refused, what survives a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.metrics import PROTOCOL, MetricSuite
from tests.metrics.clips import READINGS, evaluate, random_clips

CLIPS = random_clips(1, (9, 17, 18))


def flat(label: int = 0, height: int = 2, width: int = 3) -> torch.Tensor:
    return torch.full((height, width), label, dtype=torch.uint8)


def test_result_holds_what_the_metrics_file_needs() -> None:
    result = evaluate(CLIPS, 5).compute(samples=100)
    five = ["mIoU", "FWIoU", "mBIoU", "mVC8", "mVC16"]
    assert (result.frames, result.clips) == (44, 3)
    assert list(result.metrics) == five
    assert {metric: set(named) for metric, named in result.variants.items()} == {
        "mIoU": {"vspw", "mmseg"},
        "mBIoU": {f"{name}_r{radius}" for name in READINGS for radius in (2, 5)},
        "mVC8": {"vc_code", "vc_eq4"},
        "mVC16": {"vc_code", "vc_eq4"},
    }
    assert result.metrics["mIoU"] == result.variants["mIoU"]["vspw"]
    assert result.metrics["mBIoU"] == result.variants["mBIoU"]["inner_image_r2"]
    assert result.metrics["mVC16"] == result.variants["mVC16"]["vc_code"]
    assert [row["clip"] for row in result.per_clip] == sorted(CLIPS)
    assert list(result.per_clip[0]) == ["clip", "frames", *five]
    assert [row["class"] for row in result.per_class] == list(range(5))
    assert result.per_class[4] == {"class": 4, "iou": None, "support": 0}
    assert result.per_class[1]["iou"] == 0.0
    for metric in five:
        low, high = result.confidence_95[metric] or (np.nan, np.nan)
        assert low <= (result.metrics[metric] or np.nan) <= high
    assert result.notes == {}
    assert result.protocol["id"] == PROTOCOL.id
    named = {name for variants in result.variants.values() for name in variants}
    assert {name.split("_r")[0] for name in named} <= result.protocol["definitions"].keys()
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


def test_clip_alone_has_the_values_of_its_row() -> None:
    rows = {row["clip"]: row for row in evaluate(CLIPS, 5).compute(samples=1).per_clip}
    for name, clip in CLIPS.items():
        row, alone = rows[name], evaluate({name: clip}, 5).compute(samples=1)
        assert alone.metrics == pytest.approx({k: row[k] for k in alone.metrics})
        assert alone.frames == row["frames"]


def test_missing_values_have_reasons() -> None:
    result = evaluate(random_clips(1, (9,)), 5).compute(samples=1)
    assert result.metrics["mVC16"] is None
    assert result.confidence_95["mIoU"] is None
    assert "9 frames" in result.notes["mVC16"]
    assert "too few clips" in result.notes["confidence_95.mIoU"]
    empty = MetricSuite(3).compute()
    assert set(empty.metrics.values()) == {None}
    assert empty.notes["mIoU"] == "no clip was evaluated"


def test_radii_and_windows_name_the_results() -> None:
    result = evaluate(CLIPS, 5, window_lengths=(4,), radii_px=(1,)).compute(samples=1)
    assert list(result.metrics) == ["mIoU", "FWIoU", "mBIoU", "mVC4"]
    assert result.metrics["mBIoU"] == result.variants["mBIoU"]["inner_image_r1"]


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (flat().long(), flat(), "prediction is torch.int64, expected torch.uint8"),
        (flat(), flat().bool(), "ground truth is torch.bool, expected torch.uint8"),
        (flat(width=4), flat(), r"prediction has shape \(2, 4\), not \(H, W\) = \(2, 3\)"),
        (flat(height=5), flat(height=5), r"ground truth has shape \(5, 3\), not \(H, W\)"),
        (flat()[None], flat(), r"prediction has shape \(1, 2, 3\)"),
        (flat(3), flat(), "prediction has label 3, not 0..2 or 255"),
        (flat(), flat(254), "ground truth has label 254, not 0..2 or 255"),
    ],
)
def test_bad_maps_name_clip_and_frame_and_count_nothing(prediction, truth, message) -> None:
    suite = MetricSuite(3)
    suite.update("road", flat(1), flat(1))
    with pytest.raises(DataError, match=f"^clip road, frame 1: {message}"):
        suite.update("road", prediction, truth)
    assert suite.compute(samples=1).frames == 1


@pytest.mark.parametrize("maps", [(flat()[None], flat()[None]), (flat(width=0), flat(width=0))])
def test_first_frame_must_be_a_picture(maps) -> None:
    suite = MetricSuite(3)
    with pytest.raises(DataError, match="clip a, frame 0: ground truth has shape"):
        suite.update("a", *maps)
    assert suite.compute(samples=1).clips == 0


def test_clip_comes_in_one_run() -> None:
    suite = MetricSuite(3)
    for clip in ("a", "b"):
        suite.update(clip, flat(), flat())
    with pytest.raises(DataError, match="clip a: finished before"):
        suite.update("a", flat(), flat())
    suite.finish()
    with pytest.raises(DataError, match="clip b: finished before"):
        suite.update("b", flat(), flat())


def test_merge_refuses_the_same_clip_and_other_settings() -> None:
    suite, same, other = MetricSuite(3), MetricSuite(3), MetricSuite(4)
    suite.update("a", flat(), flat())
    same.update("a", flat(), flat())
    with pytest.raises(DataError, match="clip a: counted in both"):
        suite.merge(same)
    with pytest.raises(SettingsError, match="cannot merge"):
        suite.merge(other)
    assert suite.compute(samples=1).frames == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"num_classes": 0},
        {"num_classes": 256},
        {"num_classes": 3, "window_lengths": ()},
        {"num_classes": 3, "window_lengths": (8, 8)},
        {"num_classes": 3, "radii_px": (0,)},
        {"num_classes": 3, "radii_px": (2.0,)},
    ],
)
def test_settings_out_of_range_are_refused(settings) -> None:
    with pytest.raises(SettingsError, match="expected distinct integers in"):
        MetricSuite(**settings)


def test_saved_sums_give_the_same_result_and_bytes(tmp_path: Path) -> None:
    suite = evaluate(CLIPS, 5)
    suite.save(tmp_path / "a.npz")
    loaded = MetricSuite.load(tmp_path / "a.npz")
    assert loaded.compute(samples=20) == suite.compute(samples=20)
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def _rewritten(path: Path, **changes: np.ndarray | None) -> None:
    with np.load(path) as archive:
        arrays: dict[str, Any] = {**archive, **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


def _damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    with np.load(path) as archive:
        header = json.loads(archive["header"].tobytes())
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("clips")
    elif how == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "flipped":
        path.write_bytes(whole[:200] + bytes(b ^ 255 for b in whole[200:400]) + whole[400:])
    elif how == "array":
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    elif how == "sum missing":
        _rewritten(path, prediction=None)
    elif how == "wrong shape":
        _rewritten(path, prediction=np.zeros((3, 4), np.int64))
    elif how == "no header":
        _rewritten(path, header=None)
    else:
        if how == "protocol":
            header["protocol"] = "sam2vss-0"
        elif how == "settings":
            header["settings"]["num_classes"] = 0
        elif how == "clips":
            header["clips"][0] = header["clips"][1]
        else:
            header["settings"]["novel"] = 1
        _rewritten(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8))


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        "empty",
        "text",
        "truncated",
        "flipped",
        "array",
        "sum missing",
        "wrong shape",
        "no header",
        "protocol",
        "settings",
        "clips",
        "novel",
    ],
)
def test_damaged_sums_are_data_errors(tmp_path: Path, how: str) -> None:
    path = tmp_path / "sums.npz"
    evaluate(CLIPS, 5).save(path)
    _damage(path, how)
    with pytest.raises(DataError, match=r"sums\.npz: (no such file|not a file of metric sums)"):
        MetricSuite.load(path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_same_result_to_the_last_bit() -> None:
    suite = MetricSuite(5)
    for clip, (predictions, truths) in CLIPS.items():
        for prediction, truth in zip(predictions, truths, strict=True):
            suite.update(clip, torch.from_numpy(prediction).cuda(), torch.from_numpy(truth).cuda())
    assert suite.compute(samples=20) == evaluate(CLIPS, 5).compute(samples=20)
