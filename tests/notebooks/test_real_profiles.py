"""Profiles vspw and vipseg in miniature: official names and classes, everybody's own formats."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.schema import parse_result
from sam2vss_lib.study.sections import cell_status
from sam2vss_lib.study.settings import BaseSystem, load_profile
from tests.formats import (
    FakeClip,
    degraded,
    fake_clips,
    write_dvis,
    write_index,
    write_mmseg,
    write_vipseg,
    write_vspw,
)

SMALL = {
    "checkpoint": "demo", "window": 5, "points_per_side": 3, "device": "cpu",
    "precision": "float32", "bootstrap_samples": 20, "votes": ["frame"],
}  # fmt: skip
TABLES = {"vspw": ("01", "01_main_results", 1), "vipseg": ("02", "02_cross_dataset", 2)}


def fake_system(system: dict[str, Any], folder: Path, clips: list[FakeClip]) -> dict[str, Any]:
    """A system of a profile with fake predictions, as its code writes them."""
    path = folder / Path(system["predictions"]).name
    match system["method"]:
        case "CFFM":  # by --out results.pkl
            write_mmseg(path, clips)
            system = {**system, "format": "mmseg-pkl"}
        case "MRCFA":  # by --format-only
            write_index(path, clips, palette=True)
        case "TV3S":  # with classes from 1, as somebody may have kept them
            write_index(path, clips, offset=1)
            system = {**system, "label_offset": 1}
        case _:
            write_dvis(path, clips)
    return {**system, "predictions": str(path)}


def study(profile: str, root: Path, out: Path, clips: list[FakeClip]) -> None:
    """Run the notebook of the profile's table, by the command line."""
    predictions = out.parent / f"predictions_{profile}"
    predictions.mkdir()
    systems = [
        fake_system(system, predictions, degraded(clips, seed, void=profile == "vipseg"))
        for seed, system in enumerate(load_profile(profile)["base_systems"])
    ]
    settings = {**SMALL, "dataset": str(root), "base_systems": systems}
    changes = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
    arguments = ["study", "--profile", profile, "--only", TABLES[profile][0], "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, *changes])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    clips = fake_clips(2, num_frames=10)
    study("vspw", write_vspw(folder / "VSPW_480p", clips), folder / "results", clips)
    study("vipseg", write_vipseg(folder / "VIPSeg", clips), folder / "results", clips)
    return folder / "results"


def read(out: Path, profile: str, file: str) -> Any:
    return json.loads((out / profile / TABLES[profile][1] / file).read_text())


@pytest.mark.parametrize("profile", TABLES)
def test_every_row_of_the_table_has_values_or_a_reason(out: Path, profile: str):
    rows = read(out, profile, "result.json")["rows"]
    systems = [BaseSystem(**system) for system in load_profile(profile)["base_systems"]]
    covered = {f"{name} {s.backbone}" for s in systems for name in (s.method, f"SAM2-{s.method}")}
    seen: set[str] = set()
    for row in rows:
        name = f"{row['method']} {row['backbone']}".strip()
        seen.add(name)
        if name in covered:
            assert row["status"].startswith("run on 2 clips of "), name
            values = {metric for metric, value in row["ours"].items() if value is not None}
            assert values == {"mIoU", "FWIoU", "mBIoU", "mVC8"}, name  # 10 frames: no 16 in a row
            assert any(value is not None for value in row["paper"].values()), name
        else:
            assert row["status"] == f"not run: profile {profile} has no {name}"
    table = TABLES[profile][2]
    unseen = {f"{m} {b}".strip() for m, b in paper_rows(table)} - seen
    # Table 2 prints its refined rows without their backbones
    assert unseen <= {name.rsplit(" ", 1)[0] for name in covered}
    assert len(unseen) == (4 if table == 2 else 0)


@pytest.mark.parametrize("profile", TABLES)
def test_numbers_on_two_clips_are_not_taken_for_the_papers(out: Path, profile: str):
    values = read(out, profile, "result.json")
    data = {"vspw": "VSPW", "vipseg": "VIPSeg"}[profile]
    note = f"This is not the whole of {data} val: not comparable with the paper's numbers."
    assert values["caption"].endswith(note)
    assert values["comparable_with_paper"] is False
    assert values["coverage"] == {"demo": False, "clips": 2, "paper_clips": 343}
    result = parse_result(values, "result.json")
    printed = [
        cell_status(result, row, metric)
        for row in result.rows
        if row.was_run
        for metric, value in row.paper.items()
        if value is not None and metric != "mVC16"
    ]
    assert printed
    assert set(printed) == {"partial"}
    assert (out / profile / "report.html").is_file()


@pytest.mark.parametrize("profile", TABLES)
def test_provenance_names_the_hash_of_every_systems_predictions(out: Path, profile: str):
    hashes = read(out, profile, "provenance.json")["predictions_sha256"]
    labels = [BaseSystem(**s).label for s in load_profile(profile)["base_systems"]]
    assert sorted(hashes) == sorted(labels)
    assert len(set(hashes.values())) == len(labels)
    assert all(len(digest) == 64 for digest in hashes.values())


def test_table_2_stands_beside_the_result_on_vspw(out: Path):
    notes = read(out, "vipseg", "result.json")["notes"]
    rows = len(read(out, "vspw", "result.json")["rows"])
    assert notes == [f"Gains on the first data set, VSPW_480p: {rows} rows of notebook 01."]
