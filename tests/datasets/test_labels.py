"""Label values, class lists and colours."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.datasets.class_names import (
    ClassList,
    find_class_list,
    read_class_names,
)
from sam2vss_lib.datasets.labels import (
    VOID,
    check_prediction,
    class_palette,
    ground_truth_from_mask,
    mask_from_ground_truth,
)
from sam2vss_lib.errors import DataError, SettingsError

BAD_CLASS_LISTS = {
    "not JSON": "{",
    "not an object": '["wall"]',
    "empty": "{}",
    "gap": '{"1": "wall", "3": "door"}',
    "from zero": '{"0": "void", "1": "wall"}',
    "VSPW's others": '{"0": "others", "1": "wall"}',
    "gap after zero": '{"0": "wall", "2": "door"}',
    "no name": '{"1": ""}',
    "not a name": '{"1": 7}',
    "repeated id": '{"1": "wall", "01": "door"}',
    "repeated name": '{"1": "wall", "2": "wall"}',
    "names to names": '{"wall": "door"}',
    "too many": json.dumps({str(k): f"c{k}" for k in range(1, 256)}),
}


@given(num_classes=st.integers(1, 254), data=st.data())
def test_masks_survive_the_round_trip(num_classes: int, data: st.DataObject) -> None:
    values = [0, *range(1, num_classes + 1), 255]
    mask = np.array([data.draw(st.lists(st.sampled_from(values), min_size=1))], np.uint8)
    labels = ground_truth_from_mask(mask, num_classes)
    expected = [VOID if v in (0, 255) else v - 1 for v in mask[0].tolist()]
    assert labels[0].tolist() == expected
    assert labels.dtype == np.uint8
    back = mask_from_ground_truth(labels, num_classes)
    np.testing.assert_array_equal(back, np.where(mask == 0, 255, mask))


def test_stray_mask_values_are_an_error_or_void() -> None:
    mask = np.array([[0, 1, 3, 4, 252, 255]], np.uint8)
    with pytest.raises(DataError) as error:
        ground_truth_from_mask(mask, 3, source="clip/7.png")
    assert str(error.value) == (
        "clip/7.png: mask value 4, 252 is neither class (1..3) nor void (0, 255); "
        "check num_classes and classes.json, or read them as void (--stray-labels void)"
    )
    labels = ground_truth_from_mask(mask, 3, stray_labels="void")
    assert labels.tolist() == [[255, 0, 2, 255, 255, 255]]


def test_bad_label_settings_are_refused() -> None:
    mask = np.zeros((2, 2), np.uint8)
    for num_classes in (0, 255):
        with pytest.raises(SettingsError, match=r"num_classes is \d+; it must be in 1..254"):
            ground_truth_from_mask(mask, num_classes)
    with pytest.raises(SettingsError, match="must be 'error' or 'void'"):
        ground_truth_from_mask(mask, 3, stray_labels="ignore")  # pyright: ignore[reportArgumentType]


def test_prediction_values_are_checked() -> None:
    check_prediction(np.array([[0, 2, 255]], np.uint8), 3, "p.png")
    check_prediction(np.array([[0, 3, 255]], np.uint8), 3, "p.png", label_offset=1)
    with pytest.raises(DataError, match=r"^p.png: label 3 .* pass --label-offset 1$"):
        check_prediction(np.array([[1, 3]], np.uint8), 3, "p.png")
    with pytest.raises(DataError, match=r"^p.png: label 7, 9 .* predictions are of 3 classes$"):
        check_prediction(np.array([[9, 7, 9]], np.uint8), 3, "p.png")


def test_class_lists_of_both_forms_are_read(tmp_path: Path) -> None:
    assert find_class_list(tmp_path) is None
    vspw = {"door": "2", "others": "0", "wall": "1"}
    (tmp_path / "label_num_dic_final.json").write_text(json.dumps(vspw))
    assert find_class_list(tmp_path) == (("wall", "door"), 1)
    (tmp_path / "label_num_dic_final.json").write_text('{"others": 0, "wall": 1}')
    assert find_class_list(tmp_path) == (("wall",), 1)
    (tmp_path / "classes.json").write_text('{"2": "b", "1": "a"}')
    assert find_class_list(tmp_path) == (("a", "b"), 1)
    (tmp_path / "classes.json").write_text('{"2": "c", "0": "a", "1": "b"}')
    assert find_class_list(tmp_path) == ClassList(("a", "b", "c"), mask_offset=0)


@pytest.mark.parametrize("text", BAD_CLASS_LISTS.values(), ids=BAD_CLASS_LISTS.keys())
def test_bad_class_lists_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"classes\.json: .*; (write|give) ") as error:
        read_class_names(path)
    assert "\n" not in str(error.value)


def test_published_class_list_is_read(shared_data: Path) -> None:
    names = read_class_names(shared_data / "vipseg" / "label_num_dic_final.json")
    assert (len(names), names[0], names[-1]) == (124, "wall", "train")


def test_colours_are_distinct_and_do_not_depend_on_the_number_of_classes() -> None:
    palette = class_palette(124)
    assert (palette.shape, palette.dtype) == ((124, 3), np.uint8)
    assert len(np.unique(palette, axis=0)) == 124
    assert palette.sum(axis=1).min() > 150  # none near the black of void
    np.testing.assert_array_equal(class_palette(12), palette[:12])
