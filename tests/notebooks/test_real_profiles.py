"""Profiles vspw and vipseg in miniature: official names and classes, everybody's own formats."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.report.sections import cell_status
from sam2vss_lib.study.results.schema import parse_result
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
from tests.segmentors.published import published_backbone, published_cffm, random_state

SMALL = {
    "checkpoint": "demo", "window": 5, "points_per_side": 3, "device": "cpu",
    "precision": "float32", "bootstrap_samples": 20, "votes": ["frame"],
}  # fmt: skip
#: what Table 3 trains, in little
TRAINING: dict[str, Any] = {
    "train_clips": 2, "train_frame_step": 5, "train_points_per_side": 3,
    "classifier": {"epochs": 1, "hidden": 8},
}  # fmt: skip
#: number of the notebook -> profile, folder, table
NOTEBOOKS = {
    "01": ("vspw", "01_main_results", 1),
    "02": ("vipseg", "02_cross_dataset", 2),
    "03": ("vspw", "03_independent_sam2", 3),
    "04": ("vspw", "04_window", 4),
    "05": ("vspw", "05_point_grid", 5),
    "06": ("vspw", "06_confidence", 6),
    "07": ("vspw", "07_stability", 7),
}
REFINED, LIGHT_ABLATIONS, DENSE_GRIDS = ("01", "02"), ("04", "06", "07"), "05"
DENSE = pytest.param(DENSE_GRIDS, marks=pytest.mark.slow)  # up to 64x64 points on every window
EVERY = [DENSE if number == DENSE_GRIDS else number for number in NOTEBOOKS]


def fake_system(system: dict[str, Any], folder: Path, clips: list[FakeClip]) -> dict[str, Any]:
    """A system of a profile with fake predictions, as its code writes them."""
    path = folder / Path(system["predictions"]).name
    match system["method"]:
        case "CFFM":  # by --out results.pkl
            write_mmseg(path, clips)
            system = {**system, "format": "mmseg-pkl"}
        case "MRCFA" | "SegFormer":  # by --format-only
            write_index(path, clips, palette=True)
        case "TV3S":  # with classes from 1, as somebody may have kept them
            write_index(path, clips, offset=1)
            system = {**system, "label_offset": 1}
        case _:
            write_dvis(path, clips)
    return {**system, "predictions": str(path)}


def base_systems(profile: str, notebook: str) -> list[dict[str, Any]]:
    """Of a profile, for one of its notebooks."""
    return load_profile(profile, notebook)["base_systems"]


class Miniature:
    """Small roots of both data sets with fake predictions of all systems, and the results folder.

    Args:
        folder: an empty folder for everything.
    """

    def __init__(self, folder: Path) -> None:
        self.out = folder / "results"
        clips = fake_clips(4, num_frames=10)
        val, train = clips[:2], clips[2:]
        self._roots = {
            "vspw": write_vspw(folder / "VSPW_480p", clips),
            "vipseg": write_vipseg(folder / "VIPSeg", val),
        }
        for split, part in (("val", val), ("train", train)):
            names = "\n".join(clip.name for clip in part)
            (self._roots["vspw"] / f"{split}.txt").write_text(names)
        self.fakes: dict[str, dict[str, Any]] = {}
        for profile in self._roots:
            predictions = folder / f"predictions_{profile}"
            predictions.mkdir()
            for seed, system in enumerate(load_profile(profile)["base_systems"]):
                guesses = degraded(val, seed, void=profile == "vipseg")
                fake = fake_system(system, predictions, guesses)
                self.fakes[system["predictions"]] = fake

    def study(self, profile: str, only: str, out: Path | None = None, **settings: Any) -> Path:
        """Run notebooks of a profile, all with the same base systems, by the command line."""
        out = out or self.out
        systems = [self.fakes[s["predictions"]] for s in base_systems(profile, only[:2])]
        places = {"dataset": str(self._roots[profile]), "base_systems": systems}
        every = SMALL | places | settings
        changes = [f"--set={name}={json.dumps(value)}" for name, value in every.items()]
        arguments = ["study", "--profile", profile, "--only", only, "--out", str(out)]
        done = CliRunner().invoke(app, [*arguments, *changes])
        assert done.exit_code == 0, done.output
        assert "clips reused / needed, by stage and notebook" in done.stdout
        return out


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    return Miniature(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def refined(miniature: Miniature) -> Path:
    """Tables 1 and 2."""
    miniature.study("vspw", "01")
    return miniature.study("vipseg", "02")


@pytest.fixture(scope="module")
def independent(miniature: Miniature) -> Path:
    """Table 3, with the profile's encoders but for the checkpoint."""
    encoders = load_profile("vspw", "03")["encoders"]
    (sam2,) = (encoder for encoder in encoders if encoder["method"] == "I-SAM2")
    sam2["encoder"] = "sam2:demo"
    return miniature.study("vspw", "03", encoders=encoders, **TRAINING)


@pytest.fixture(scope="module")
def ablations(miniature: Miniature) -> Path:
    """Tables 4, 6 and 7."""
    return miniature.study("vspw", ",".join(LIGHT_ABLATIONS))


@pytest.fixture(scope="module")
def dense_grids(miniature: Miniature) -> Path:
    """Table 5."""
    return miniature.study("vspw", DENSE_GRIDS)


@pytest.fixture
def out(notebook: str, request: pytest.FixtureRequest) -> Path:
    """Results folder with what a notebook has written."""
    own = {"01": "refined", "02": "refined", "03": "independent", DENSE_GRIDS: "dense_grids"}
    return request.getfixturevalue(own.get(notebook, "ablations"))


def read(out: Path, notebook: str, file: str) -> Any:
    profile, folder, _ = NOTEBOOKS[notebook]
    return json.loads((out / profile / folder / file).read_text())


def assert_measured(row: dict[str, Any]) -> None:
    assert row["status"].startswith("run on 2 clips of "), row
    values = {metric for metric, value in row["ours"].items() if value is not None}
    assert values == {"mIoU", "FWIoU", "mBIoU", "mVC8"}, row  # 10 frames: no 16 in a row


@pytest.mark.parametrize("notebook", REFINED)
def test_every_row_of_the_table_has_values_or_a_reason(out: Path, notebook: str):
    profile, _, table = NOTEBOOKS[notebook]
    systems = [BaseSystem(**system) for system in base_systems(profile, notebook)]
    covered = {f"{name} {s.backbone}" for s in systems for name in (s.method, f"SAM2-{s.method}")}
    seen: set[str] = set()
    for row in read(out, notebook, "result.json")["rows"]:
        name = f"{row['method']} {row['backbone']}".strip()
        seen.add(name)
        if name in covered:
            assert_measured(row)
            # the paper prints SegFormer's rows without refining them
            printed = any(value is not None for value in row["paper"].values())
            assert printed == (row["method"] != "SAM2-SegFormer"), name
        else:
            assert row["status"] == f"not run: profile {profile} has no {name}"
    unseen = {f"{m} {b}".strip() for m, b in paper_rows(table)} - seen
    # Table 2 prints its refined rows without their backbones
    assert unseen <= {name.rsplit(" ", 1)[0] for name in covered}
    assert len(unseen) == (4 if table == 2 else 0)


def test_profile_vspw_has_a_row_of_the_adaptive_vote(miniature: Miniature, tmp_path: Path):
    profile = load_profile("vspw", "01")
    system = miniature.fakes[profile["base_systems"][0]["predictions"]]
    miniature.study("vspw", "01", tmp_path, base_systems=[system], votes=profile["votes"])
    rows = {row["method"]: row for row in read(tmp_path, "01", "result.json")["rows"]}
    own = [*(f"SAM2-SegFormer{of}" for of in ("", " (window vote)", " (adaptive vote)"))]
    assert [name for name in rows if name.startswith("SAM2-SegFormer")] == own
    for name in own:  # of labels alone: probabilities are read where a folder has them
        assert_measured(rows[name])
    assert not any(rows[own[2]]["paper"].values())


def test_table_3_is_whole_but_for_encoders_that_are_not_there(independent: Path):
    result = read(independent, "03", "result.json")
    rows = {(row["method"], row["backbone"]): row for row in result["rows"]}
    assert set(rows) == set(paper_rows(3))
    for (method, backbone), row in rows.items():
        assert any(value is not None for value in row["paper"].values())
        if method in ("CFFM", "I-SAM2", "I-SAM2_base"):
            assert_measured(row)
        else:
            assert method in ("I-CFFM", "I-CFFM_base")
            weights = f"/weights/CFFM_{backbone}.pth"
            assert row["status"].startswith("not run: no weights at ")
            assert row["status"].endswith(weights)
    # filled from CFFM MiT-B1, as the paper says
    assert {"mIoU", "mBIoU", "mVC8"} <= rows["I-SAM2_base", ""]["gains"].keys()
    assert rows["I-SAM2_base", ""]["gains"]["mIoU"]["gain"] >= 0
    assert rows["I-SAM2", ""]["gains"]["mIoU"]["low"] is not None
    statements = [claim["statement"] for claim in result["claims"]]
    assert "I-SAM2 lowers mIoU against CFFM MiT-B1" in statements
    assert "I-SAM2_base raises mIoU over I-SAM2" in statements
    seeds = next(table for table in result["tables"] if table["title"] == "Seeds")
    assert [row[:2] for row in seeds["rows"]] == [["I-SAM2", "3"], ["I-SAM2_base", "3"]]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_i_cffm_and_its_base_run_from_weights_in_the_published_layout(
    miniature: Miniature, tmp_path: Path
):
    system = next(s for s in base_systems("vspw", "03") if s["method"] == "CFFM")
    encoder = load_profile("vspw", "03")["encoders"][0]
    assert encoder["base"] == f"{system['method']} {system['backbone']}" == "CFFM MiT-B0"
    weights = tmp_path / "CFFM_MiT-B0.pth"
    channels = (32, 64, 160, 256)
    layout = published_backbone(channels, (2, 2, 2, 2))
    layout |= {f"decode_head.{key}": shape for key, shape in published_cffm(channels, 1).items()}
    torch.save({"meta": {}, "state_dict": random_state(layout)}, weights)
    for place in (system, encoder):
        field = "segmentor" if "segmentor" in place else "encoder"
        place[field] = place[field].replace("weights/CFFM_MiT-B0.pth", str(weights))
    out = miniature.study(
        "vspw", "03", tmp_path, base_systems=[system], encoders=[encoder], **TRAINING
    )
    rows = {(row["method"], row["backbone"]): row for row in read(out, "03", "result.json")["rows"]}
    for method in ("CFFM", "I-CFFM", "I-CFFM_base"):
        assert_measured(rows[method, "MiT-B0"])


@pytest.mark.parametrize("notebook", [*LIGHT_ABLATIONS, DENSE])
def test_ablations_have_every_value_of_the_papers_setting(out: Path, notebook: str):
    result = read(out, notebook, "result.json")
    rows = {row["method"]: row for row in result["rows"]}
    assert {(name, "") for name in rows} == {
        *paper_rows(NOTEBOOKS[notebook][2]),
        ("not refined", ""),
    }
    for row in rows.values():
        assert_measured(row)
    assert all(row["paper"]["mIoU"] for name, row in rows.items() if name != "not refined")
    # one row, the paper's choice, is what the others are compared with
    assert sum(not row["gains"] for row in rows.values()) == 2
    assert result["claims"]


@pytest.mark.parametrize("notebook", EVERY)
def test_numbers_on_two_clips_are_not_taken_for_the_papers(out: Path, notebook: str):
    profile = NOTEBOOKS[notebook][0]
    values = read(out, notebook, "result.json")
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


@pytest.mark.parametrize("notebook", EVERY)
def test_provenance_names_the_hash_of_every_systems_predictions(out: Path, notebook: str):
    hashes = read(out, notebook, "provenance.json")["predictions_sha256"]
    profile = NOTEBOOKS[notebook][0]
    labels = [BaseSystem(**s).label for s in base_systems(profile, notebook)]
    if notebook == "03":  # which uses those that its encoders belong to
        labels = ["CFFM MiT-B0", "CFFM MiT-B1", "CFFM MiT-B2"]
    assert sorted(hashes) == sorted(labels)
    assert len(set(hashes.values())) == len(labels)
    assert all(len(digest) == 64 for digest in hashes.values())


def test_table_2_stands_beside_the_result_on_vspw(refined: Path):
    notes = read(refined, "02", "result.json")["notes"]
    rows = len(read(refined, "01", "result.json")["rows"])
    assert notes == [f"Gains on the first data set, VSPW_480p: {rows} rows of notebook 01."]
