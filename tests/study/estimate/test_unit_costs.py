"""Unit costs are read from what runs leave, and nothing else: times, objects, bytes."""

from __future__ import annotations

import json
from itertools import pairwise
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
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement, PartCost
from sam2vss_lib.study.estimate.measured_stores import (
    measure_objects,
    object_frames,
    settings_name,
    store_bytes,
)
from sam2vss_lib.study.estimate.stage_logs import logged_seconds
from sam2vss_lib.study.estimate.unit_costs import COST_NOTEBOOK, measured_costs, read_costs
from sam2vss_lib.study.estimate.work_counts import shared_counts
from sam2vss_lib.study.estimate.workload import Asked
from sam2vss_lib.study.settings import make_settings
from tests.study.estimate.plans import made_up_costs

PARTS = ("decode", "encode", "propose", "track", "store", "refine", "metrics")
SECONDS = dict(zip(PARTS, (0.1, 0.2, 0.8, 0.3, 0.5, 0.6, 0.7), strict=True))
FRAMES = 18
#: windows that share tracks (1 with any, 16 with 18), one that does not, a grid, a threshold
SWEEP = [
    MaskletSettings(window=w, points_per_side=side, pred_iou_thresh=iou)
    for w, side, iou in ((1, 4, 0.3), (4, 4, 0.3), (16, 4, 0.3), (18, 4, 0.6), (18, 3, 0.3))
]


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
    path = results / COST_NOTEBOOK / "result.json"
    values = {"settings": settings.identity(), "measured": measured.model_dump(mode="json")}
    write_json(path, values)
    write_json(path.with_name("provenance.json"), {"device": "a CPU", "stages": []})
    return path


def test_the_cost_notebook_gives_times_of_single_pieces(tmp_path: Path):
    write_cost_result(tmp_path / "demo")
    costs = measured_costs(tmp_path / "demo", [])
    assert {name: one.seconds for name, one in costs.seconds.items()} == pytest.approx(
        {
            "decode": 0.1, "encode": 0.2, "propose": 0.8 / 16, "track frame": 0.1,
            "track object": 0.02, "store": 0.05, "refine": 0.6, "evaluate": 0.7,
        }
    )  # fmt: skip
    assert {one.source for one in costs.seconds.values()} == {"notebook 08"}
    assert costs.objects == {"window 8, 4x4 points, IoU 0.6, stability 0.8": 10}
    assert (costs.bytes, costs.shared) == ({}, ())
    assert costs.measured.words() == "demo model, float32, a CPU"


def test_without_measured_costs_the_command_that_measures_them_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"`sam2vss study --profile demo --only 08 --out \S+`"):
        measured_costs(tmp_path / "demo", [])


@pytest.mark.parametrize("damage", ["settings", "measured"])
def test_a_cost_file_that_is_none_is_refused(tmp_path: Path, damage: str):
    path = write_cost_result(tmp_path / "demo")
    values = json.loads(path.read_text())
    write_json(path, {**values, damage: {"parts": []}})
    with pytest.raises(DataError, match=r"result\.json: not a result of notebook 08 \(.+--only 08"):
        measured_costs(tmp_path / "demo", [])


def test_costs_travel_as_json(tmp_path: Path):
    path, costs = tmp_path / "plan.json", made_up_costs()
    write_json(path, {"costs": costs.model_dump(mode="json")})
    assert read_costs(path) == costs
    for change, message in (
        ({"seconds": {"refine": {"seconds": -1, "source": ""}}}, r"costs\.seconds\.refine\.sec"),
        ({"objects": {}}, r"costs\.objects: empty"),
        ({"more": 1}, r"costs\.more: "),
    ):
        write_json(path, {"costs": {**costs.model_dump(mode="json"), **change}})
        with pytest.raises(DataError, match=message):
            read_costs(path)
    write_json(path, [])
    with pytest.raises(DataError, match=r"no field costs; make such a file with `sam2vss plan"):
        read_costs(path)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Work]:
    """Stores of all settings of the sweep, and what the engine says it took."""
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=7, clips=1, frames=FRAMES)})
    stages = root / "stages"
    outs = {one: stages / "masklets" / str(place) for place, one in enumerate(SWEEP)}
    run = generate_shared(open_dataset(root, "val"), load_sam2("demo"), outs)
    return stages, run.work


def test_planned_work_is_what_the_engine_does(stored: tuple[Path, Work]):
    stages, done = stored
    objects, stores = measure_objects(stages)
    shared = [
        {"settings": names, "object_frames": per_frame}
        for names, per_frame in object_frames(stores, [SWEEP]).items()
    ]
    costs = made_up_costs().model_validate(
        {**made_up_costs().model_dump(), "objects": objects, "shared": shared}
    )
    planned = shared_counts([Asked(masklets=tuple(SWEEP))], FRAMES, costs)
    assert planned["encode"] == done.image_encodings
    assert planned["propose"] == done.prompts
    assert planned["track object"] == pytest.approx(done.object_frames)
    alone = sum(objects.values()) * FRAMES
    assert done.object_frames < alone  # else there would be nothing to share


def test_objects_are_the_rows_of_a_frame(stored: tuple[Path, Work]):
    stages, _ = stored
    objects, _ = measure_objects(stages)
    for place, one in enumerate(SWEEP):
        store = MaskletStore(stages / "masklets" / str(place))
        rows = store.read(next(store.root.glob("*.parquet")).stem).table.num_rows
        assert objects[settings_name(one)] == rows / FRAMES


def test_settings_that_share_an_object_are_told_apart_by_what_matters():
    names = {settings_name(one) for one in SWEEP}
    assert len(names) == len(SWEEP)
    precise = SWEEP[0].model_copy(update={"precision": "bfloat16", "points_per_batch": 8})
    assert settings_name(precise) == settings_name(SWEEP[0])
    merged = MaskletSettings(merge_iou=0.7)
    assert settings_name(merged) != settings_name(MaskletSettings())


def test_groups_that_no_run_has_stored_are_left_out(stored: tuple[Path, Work]):
    _, stores = measure_objects(stored[0])
    assert object_frames(stores, [SWEEP[:1], [SWEEP[0], MaskletSettings()]]) == {}
    counts = [object_frames(stores, [SWEEP[:n]]).popitem()[1] for n in range(2, len(SWEEP) + 1)]
    assert all(fewer <= more for fewer, more in pairwise(counts))


def test_bytes_are_those_of_the_files(stored: tuple[Path, Work], tmp_path: Path):
    paths = [*stored[0].glob("masklets/*/*.parquet")]
    rows = sum(measure_objects(stored[0])[0].values()) * FRAMES
    per_row = sum(path.stat().st_size for path in paths) / rows
    assert store_bytes(stored[0]) == {"masklet row": pytest.approx(per_row)}
    for kind, size in (("base", 100), ("refined", 300)):
        for frame in range(2):
            path = tmp_path / kind / "key" / "clip" / f"{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
    write_json(tmp_path / "metrics" / "key" / "metrics.json", {"clips": 4})
    kept = (tmp_path / "metrics" / "key" / "metrics.json").stat().st_size
    assert store_bytes(tmp_path) == {"label map": 200, "metrics": kept / 4}
    assert store_bytes(tmp_path / "nowhere") == {}


def line(stage: str, key: str, clips: int, seconds: float, reused: int = 0) -> dict[str, Any]:
    """One line of a stage log."""
    return {"stage": stage, "key": key, "clips": clips, "reused": reused, "seconds": seconds}


def test_stage_logs_give_times_of_frames_and_label_maps(tmp_path: Path):
    metrics = {"frames": 40, "clips": 4}
    write_json(tmp_path / "stages" / "metrics" / "e1" / "metrics.json", metrics)
    log = [
        line("segment", "S_a-0123", 4, 8.0),
        line("evaluate", "e1", 4, 2.0),
        line("refine", "r1", 4, 4.0),
        line("refine", "r2", 2, 5.0),
        line("refine", "r3", 4, 99.0, reused=1),
        line("features", "f1", 4, 2.0),
        line("masklets", "m1", 4, 77.0),
    ]
    provenance = {"device": "a CPU", "settings": {"feature_frame_stride": 2}, "stages": log}
    write_json(tmp_path / "01_main" / "provenance.json", provenance)
    found = logged_seconds(tmp_path)
    assert {name: one.seconds for name, one in found.items()} == pytest.approx(
        {"segment sa": 8 / 40, "evaluate": 2 / 40, "refine": 9 / 60, "features": 2 / 20}
    )
    assert {one.source for one in found.values()} == {"stage logs, a CPU"}
    write_json(tmp_path / "02_other" / "provenance.json", {"stages": [{"stage": "refine"}]})
    with pytest.raises(DataError, match=r"02_other/provenance\.json: not a notebook's provenance"):
        logged_seconds(tmp_path)


def test_training_is_logged_by_its_own_frames(stored: tuple[Path, Work], tmp_path: Path):
    (tmp_path / "stages").symlink_to(stored[0])
    log = [
        line("training masklets", "0", 1, 50.0),
        line("training features", "f", 1, 10.0),
        line("classifier", "c1", 1, 1.0),
        line("classifier", "c2", 1, 2.0),
    ]
    provenance = {"device": "a CPU", "settings": {}, "stages": log}
    write_json(tmp_path / "03_independent" / "provenance.json", provenance)
    seconds = {name: one.seconds for name, one in logged_seconds(tmp_path).items()}
    assert seconds == pytest.approx({"features": 10 / FRAMES, "classifiers": 1.5 / FRAMES})
