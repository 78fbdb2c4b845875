"""From labels to classes: by name, by a file, by the maps of this project."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.segmentors.hugging_face.classes import (
    map_classes,
    own_classes,
    read_class_map,
    shipped_maps,
)
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.storage.places import manifest_path

VSPW = tuple(read_json(manifest_path("vspw_classes.json")).values())
#: as transformers has them: some names of both kinds of ADE20K lists, of COCO and of Cityscapes
SOME = {
    "ade20k_to_vspw": {
        "windowpane": "window",
        "window ": "window",
        "road, route": "road",
        "chest of drawers, chest, bureau, dresser": "cupboard_or_showcase_or_storage_rack",
        "blind, screen": "curtain",  # not the screen of a television
        "toilet, can, commode, crapper, pot, potty, stool, throne": "commode",
        "crt screen": "screen_or_television",
    },
    "coco_panoptic_to_vspw": {
        "person": "person",
        "sky-other-merged": "sky",
        "couch": "sofa",
        "cow": "cattle",
    },
    "cityscapes_to_vspw": {"vegetation": "tree", "rider": "person", "terrain": "grass"},
}
COUNTS = {"ade20k_to_vspw": 160, "coco_panoptic_to_vspw": 133, "cityscapes_to_vspw": 19}
name = st.sampled_from(["sky", "Road", "car ", "tree", "unicorn", "SKY"])


def test_maps_of_this_project_are_for_vspw() -> None:
    assert shipped_maps() == tuple(sorted(SOME))
    for file, expected in SOME.items():
        _, content = read_class_map(file)
        assert len(content) == COUNTS[file]
        assert {*content.values()} - {None} <= {*VSPW}
        assert map_classes(tuple(expected), VSPW, file).named() == expected


@given(st.lists(name, min_size=1, max_size=6, unique=True), st.data())
def test_equal_names_are_found_and_the_rest_is_void(labels: list[str], data: Any) -> None:
    names = ["ROAD", "sky", "lake"]
    found = map_classes(labels, names, allow_none=True)
    for label, value in zip(labels, found.table, strict=True):
        same = [i for i, n in enumerate(names) if n.lower() == label.strip().lower()]
        assert value == (same[0] if same else 255)
        assert (label in found.unmapped) == (not same)


def test_a_file_alone_decides_and_null_is_void_on_purpose(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"sky": None, "CAR": "Vehicle", "van": "vehicle", "absent": "sky"}))
    found = map_classes(("sky", "car", "van", "lake"), ("sky", "vehicle"), str(path))
    assert found.table.tolist() == [255, 1, 1, 255]
    assert found.unmapped == ("lake",)
    assert found.named() == {"sky": None, "car": "vehicle", "van": "vehicle", "lake": None}


def test_the_hash_follows_the_result_alone(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"sky": "sky", "car": "car"}))
    by_name, by_file = (map_classes(("sky", "car"), ("sky", "car"), m) for m in (None, str(path)))
    assert by_name.sha256 == by_file.sha256 == own_classes(("a", "b")).sha256
    assert map_classes(("sky", "car"), ("car", "sky")).sha256 != by_name.sha256
    assert map_classes(("sky", "car"), ("sky", "car", "lake")).sha256 != by_name.sha256


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not readable as JSON; write"),
        ("[1]", "is not a JSON object of labels and classes; write"),
        ('{"sky": 1}', "the class of 'sky' is 1; write"),
        ('{"sky": "heaven"}', "'heaven' is no class of the data set; its classes are sky, car"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        map_classes(("sky",), ("sky", "car"), str(path))
    assert str(error.value).startswith(f"{path}: {problem}")
    assert "\n" not in str(error.value)


def test_an_absent_file_and_no_class_at_all_are_refused() -> None:
    with pytest.raises(DataError, match=r"no such class map; give a JSON file, or ade20k_to_vspw"):
        map_classes(("sky",), ("sky",), "absent.json")
    with pytest.raises(SettingsError, match=r"none of the model's 2 labels \(LABEL_0, \.\.\.\)"):
        map_classes(("LABEL_0", "LABEL_1"), ("sky", "car"))
    with pytest.raises(SettingsError, match="255"):
        own_classes([str(i) for i in range(255)])
