"""The manifests load, hold the facts they should, and complain clearly when broken."""

import csv
import json
import re
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from sam2vss_lib.datasets.class_names import read_class_names
from sam2vss_lib.datasets.manifests import (
    load_checkpoints_manifest,
    load_datasets_manifest,
)
from sam2vss_lib.datasets.splits import read_split
from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.registry import ENGINES
from sam2vss_lib.predictions.importers.formats import FORMATS
from sam2vss_lib.segmentors.registry import segmentor_names
from sam2vss_lib.storage.places import manifest_path

SIZES = ("tiny", "small", "base_plus", "large")


def test_checkpoints_are_the_eight_official_ones_and_demo():
    manifest = load_checkpoints_manifest()
    official = [f"{family}_hiera_{size}" for family in ("sam2.1", "sam2") for size in SIZES]
    assert list(manifest) == [*official, "demo"]
    for name in official:
        entry = manifest[name]
        assert entry.file == f"{name}.pt"
        assert entry.url is not None
        assert entry.url.startswith("https://dl.fbaipublicfiles.com/segment_anything_2/")
        assert entry.url.endswith(f"/{name}.pt")
        assert entry.family == ("SAM2.1" if "2.1" in name else "SAM2")
        assert entry.sha256 is not None
        assert entry.bytes is not None
        assert entry.licence == "Apache-2.0"
        if entry.hub is not None:
            folder = entry.family.lower()
            size = name.removeprefix(folder + "_hiera_").replace("_", "-")
            assert entry.hub.repository == f"facebook/{folder}-hiera-{size}"
    assert len({manifest[name].sha256 for name in official}) == len(official)
    commits = [hub.commit for name in official if (hub := manifest[name].hub)]
    assert len(set(commits)) == len(commits) == 7
    assert manifest["demo"].url is None


def test_checkpoint_configs_are_in_the_sam2_package():
    for entry in load_checkpoints_manifest().values():
        if entry.config is not None:
            assert files("sam2").joinpath(entry.config).is_file(), entry.config


def test_datasets_hold_the_published_sizes():
    manifest = load_datasets_manifest()
    assert list(manifest) == ["vspw", "vipseg"]
    vspw = manifest["vspw"]
    assert {name: (s.clips, s.frames) for name, s in vspw.splits.items()} == {
        "train": (2806, 198244),
        "val": (343, 24502),
        "test": (387, 28887),
    }
    assert vspw.frames == sum(split.frames or 0 for split in vspw.splits.values())
    assert vspw.splits["test"].masks is False
    vipseg = manifest["vipseg"]
    assert [split.clips for split in vipseg.splits.values()] == [2806, 343, 387]
    assert vipseg.frames == 84750
    for entry in manifest.values():
        assert entry.terms
        assert entry.citation
        assert entry.obtain
        assert manifest_path(entry.class_names).is_file()
        names, faults = zip(
            *(read_split(manifest_path(split.clip_list)) for split in entry.splits.values()),
            strict=True,
        )
        assert not any(faults)
        assert [len(clips) for clips in names] == [s.clips for s in entry.splits.values()]
        assert len(set(chain(*names))) == 3536, "the splits share no clip"


def test_conversions_are_those_of_the_command_line():
    known = {c.name: c.height_px for e in load_datasets_manifest().values() for c in e.conversions}
    assert known == {"vspw-480p": 480, "vipseg-720p": 720}


def test_classes_are_named_and_58_of_them_are_things(shared_data: Path):
    names = read_class_names(manifest_path("vspw_classes.json"))
    official = json.loads((shared_data / "vipseg" / "panoVIPSeg_categories.json").read_text())
    assert [(c["id"], c["name"]) for c in official] == list(enumerate(names))
    things = load_datasets_manifest()["vipseg"].things
    assert things == [c["id"] + 1 for c in official if c["isthing"]]
    assert len(things or ()) == 58


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("bytes", "many", "checkpoints.0.bytes"),
        ("sha256", "abc", "checkpoints.0.sha256"),
        ("family", "SAM3", "checkpoints.0.family"),
        ("colour", "red", "checkpoints.0.colour"),
        ("hub", {"repository": "facebook/x", "commit": "main"}, "checkpoints.0.hub.commit"),
        ("name", "demo", "name: 'demo' is given twice"),
    ],
)
def test_wrong_field_is_named(tmp_path: Path, field: str, value: object, complaint: str):
    content = yaml.safe_load(manifest_path("checkpoints.yaml").read_text(encoding="utf-8"))
    content["checkpoints"][0][field] = value
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_checkpoints_manifest(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "- a\n", "format_version: 2\ndatasets: []\n", "a: [\n", "\tb"]
)
def test_malformed_file_is_one_line_naming_the_file(tmp_path: Path, text: str):
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_datasets_manifest(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_field_is_named(tmp_path: Path):
    content = yaml.safe_load(manifest_path("datasets.yaml").read_text(encoding="utf-8"))
    del content["datasets"][1]["splits"]["val"]["clips"]
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"datasets\.1\.splits\.val\.clips: Field required"):
        load_datasets_manifest(path)


def test_missing_files_are_data_errors(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read"):
        load_datasets_manifest(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="is not whole"):
        manifest_path("none.yaml")


def base_systems() -> list[dict[str, Any]]:
    """What `models.yaml` says of each base system; the library does not read it."""
    return yaml.safe_load(manifest_path("models.yaml").read_text(encoding="utf-8"))["systems"]


def test_every_base_system_of_the_paper_is_listed_with_its_backbones():
    with manifest_path("paper_tables.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] in "12"]
    printed = {(r["row"], r["backbone"]) for r in rows if not r["row"].startswith("SAM2-")}
    systems = base_systems()
    assert len({facts["name"] for facts in systems}) == len(systems)
    assert {(facts["name"], b) for facts in systems for b in facts["configs"]} == printed
    fields = systems[0].keys()
    for facts in systems:
        assert facts.keys() == fields
        assert facts["configs"].keys() == facts["weights"].keys()
        assert facts["sha256"] is not None or facts["sha256_reason"]
        assert facts["commit"] is None or re.fullmatch("[0-9a-f]{40}", facts["commit"])
        addresses = [facts["repository"], *filter(None, facts["weights"].values())]
        assert all(address.startswith("https://") for address in addresses)


def test_native_systems_can_be_loaded_by_name():
    names = segmentor_names()
    for facts in base_systems():
        if facts["native"] is not None:
            for backbone in facts["configs"]:
                assert facts["native"] + backbone.removeprefix("MiT-B") in names
        assert facts["predictions"] in FORMATS


def test_video_models_have_an_engine_and_a_place():
    listed = yaml.safe_load(manifest_path("models.yaml").read_text(encoding="utf-8"))
    models: list[dict[str, Any]] = listed["masklet_models"]
    ours = {name for name in ENGINES if name.startswith("transformers:")}
    assert {facts["engine"] for facts in models} == ours
    for facts in models:
        assert facts.keys() == models[0].keys()
        assert facts["repositories"].keys() == facts["commits"].keys()
        assert all(re.fullmatch(r"[\w-]+/[\w.-]+", name) for name in facts["repositories"].values())
        assert all(re.fullmatch("[0-9a-f]{40}", c) for c in facts["commits"].values() if c)
        assert {"config.json", "model.safetensors"} <= {*facts["files"]}
