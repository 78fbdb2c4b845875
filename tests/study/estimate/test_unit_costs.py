"""Unit costs are read from what runs leave, and nothing else: times, objects, bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.generate import generate_shared
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement, PartCost
from sam2vss_lib.study.estimate.unit_costs import measured_costs, read_costs
from sam2vss_lib.study.settings import make_settings
from tests.study.estimate.plans import made_up_costs

PARTS = ("decode", "encode", "propose", "track", "store", "refine", "metrics")
SECONDS = dict(zip(PARTS, (0.1, 0.2, 0.8, 0.3, 0.5, 0.6, 0.7), strict=True))
MEASURED = {
    "decode": 0.1, "encode": 0.2, "propose": 0.8 / 16, "trackframe": 0.1, "trackobject": 0.02,
    "store": 0.5, "refine": 0.6, "evaluate": 0.7,
}  # fmt: skip


def write_cost_result(results: Path, dataset: str = "nowhere/else") -> Path:
    """What notebook 08 leaves, with times that are easy to recognise; returns `result.json`."""
    parts = tuple(PartCost(part=p, per_frame=1, gflop=0, seconds=s) for p, s in SECONDS.items())
    measured = CostMeasurement(
        parts=parts,
        objects=(1, 2, 4),
        track_seconds=(0.12, 0.14, 0.18),
        peak_memory_mib=1,
        masklets=10,
        window=8,
    )
    settings = make_settings(
        {"profile": "demo", "dataset": dataset, "out_dir": "o", "stages_dir": "s", "window": 8,
         "points_per_side": 4}
    )  # fmt: skip
    path = results / "08_cost_analysis" / "result.json"
    values = {"settings": settings.identity(), "measured": measured.model_dump(mode="json")}
    write_json(path, values)
    write_json(path.with_name("provenance.json"), {"device": "a CPU", "stages": []})
    return path


def test_the_cost_notebook_gives_times_of_single_pieces(tmp_path: Path):
    write_cost_result(tmp_path / "demo")
    costs = measured_costs(tmp_path / "demo")
    assert costs.seconds == pytest.approx(MEASURED)
    assert (costs.objects, costs.bytes) == (10, {})
    assert costs.measured == ("demo", "float32", "a CPU")
    assert costs.hours({"propose": 7200, "nothing": 1}) == pytest.approx(
        {"propose": 2 * 0.05, "nothing": float("nan")}, nan_ok=True
    )


def test_without_measured_costs_the_command_that_measures_them_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"`sam2vss study --profile demo --only 08 --out \S+`"):
        measured_costs(tmp_path / "demo")


@pytest.mark.parametrize("damage", ["settings", "measured"])
def test_a_cost_file_that_is_none_is_refused(tmp_path: Path, damage: str):
    path = write_cost_result(tmp_path / "demo")
    values = json.loads(path.read_text())
    for wrong in ({**values, damage: {"parts": []}}, {}, []):
        write_json(path, wrong)
        with pytest.raises(
            DataError, match=r"result\.json: not made by notebook 08 \(.+make it an"
        ):
            measured_costs(tmp_path / "demo")


def test_costs_travel_as_json(tmp_path: Path):
    path, costs = tmp_path / "plan.json", made_up_costs()
    write_json(path, {"costs": costs.model_dump(mode="json")})
    assert read_costs(path) == costs
    for change, message in (
        ({"seconds": {"refine": -1}}, r"costs 'seconds\.refine'"),
        ({"objects": "many"}, "costs 'objects'"),
        ({"more": 1}, "costs 'more'"),
        ({"format_version": 1}, "costs 'format_version'"),
    ):
        write_json(path, {"costs": {**costs.model_dump(mode="json"), **change}})
        with pytest.raises(
            DataError, match=rf"plan\.json: not made by `sam2vss plan --.+{message}"
        ):
            read_costs(path)
    for other in ([], {}):
        write_json(path, other)
        with pytest.raises(
            DataError, match=r"not made by `sam2vss plan --json` \(.+\); make it anew"
        ):
            read_costs(path)


def test_objects_and_bytes_are_those_of_the_stores(tmp_path: Path):
    write_demo(tmp_path, {"val": DemoSplit(first_seed=7, clips=1, frames=6)})
    results = tmp_path / "demo"
    write_cost_result(results, str(tmp_path))
    sweep = [MaskletSettings(window=w, points_per_side=4, pred_iou_thresh=0.3) for w in (2, 6)]
    stores = {one: results / "stages" / "masklets" / str(one.window) for one in sweep}
    clips = open_dataset(tmp_path, "val")
    generate_shared(clips, load_sam2("demo"), stores)
    for kind, size in (("base", 100), ("refined", 300)):
        for frame in range(2):
            path = results / "stages" / kind / "key" / "clip" / f"{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
    costs = measured_costs(results)
    files = [MaskletStore(folder).path(clips.clips[0].name) for folder in stores.values()]
    rows = [MaskletStore(path.parent).read(path.stem).table.num_rows for path in files]
    assert costs.objects == pytest.approx(sum(rows) / (2 * 6))
    frames = [clips.clips[0].frame_path(t).stat().st_size for t in range(6)]
    assert costs.bytes == pytest.approx(
        {
            "masklets": sum(path.stat().st_size for path in files) / (2 * 6),
            "label map": 200,
            "frame": sum(frames) / 6,
        }
    )
    assert costs.gib(("label map", "label map")) * 2**30 == 400


def line(stage: str, key: str, clips: int, seconds: float, reused: int = 0) -> dict[str, Any]:
    """One line of a stage log."""
    return {"stage": stage, "key": key, "clips": clips, "reused": reused, "seconds": seconds}


def test_stage_logs_give_times_of_frames_and_label_maps(tmp_path: Path):
    write_cost_result(tmp_path)
    log = [
        line("segment", "S_a-0123", 4, 8.0),
        line("evaluate", "e1", 4, 2.0),
        line("refine", "r1", 4, 4.0),
        line("refine", "r2", 2, 5.0),
        line("refine", "r3", 4, 99.0, reused=1),
        line("features", "f1", 4, 2.0),
        line("masklets", "m1", 4, 77.0),
        line("training features", "t1", 4, 55.0),
    ]
    settings = {
        "profile": "demo", "dataset": "VSPW", "feature_frame_stride": 10, "device": "cuda:7",
    }  # fmt: skip
    # published: the clips of val have 72 frames, but for the last ones
    provenance = {"device": "a GPU", "settings": settings, "stages": log}
    write_json(tmp_path / "01_main" / "provenance.json", provenance)
    unused = {"device": "another", "settings": settings, "stages": log[4:5]}
    write_json(tmp_path / "02_other" / "provenance.json", unused)
    costs = measured_costs(tmp_path)
    logged = {
        "segmentsa": 8 / 288, "evaluate": 2 / 288, "features": 2 / (4 * 8),
        "refine": (4 / 288 + 5 / 144) / 2,
    }  # fmt: skip
    assert costs.seconds == pytest.approx({**MEASURED, **logged})
    assert costs.measured == ("demo", "float32", "a CPU", "a GPU")
    # a base system is found by its label as tables have it
    assert costs.hours({"segment: S a": 288})["segment: S a"] == pytest.approx(8 / 3600)
    gone = {"dataset": "no/such/data", "profile": "demo"}
    write_json(tmp_path / "02_other" / "provenance.json", {**provenance, "settings": gone})
    assert measured_costs(tmp_path) == costs
    write_json(tmp_path / "02_other" / "provenance.json", {"stages": [{"stage": "refine"}]})
    with pytest.raises(DataError, match=r"02_other/provenance\.json: not made by a notebook"):
        measured_costs(tmp_path)
