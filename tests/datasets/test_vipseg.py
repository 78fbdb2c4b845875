"""VIPSeg roots, published and converted, give the ground truth that a VSPW root gives."""

import json
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2vss_lib.datasets import Dataset, open_dataset, verify_dataset
from sam2vss_lib.datasets.images import read_id_image
from sam2vss_lib.datasets.labels import ground_truth_from_mask
from sam2vss_lib.datasets.manifests import load_datasets_manifest
from sam2vss_lib.datasets.panoptic import labels_from_panoptic, labels_from_segments
from sam2vss_lib.datasets.segments import read_segments
from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.places import manifest_path
from tests.formats import (
    FakeClip,
    fake_clips,
    save,
    write_segments,
    write_vipseg,
    write_vspw,
)


@pytest.fixture(scope="module")
def clips() -> list[FakeClip]:
    return fake_clips(2)


def converted(folder: Path, clips: list[FakeClip]) -> Path:
    """A root as the official scripts leave it: 720p images and masks, lists one folder above."""
    root = write_vipseg(folder / "VIPSeg_720P", clips, images="images")
    return Path(shutil.move(root / "val.txt", folder / "val.txt")).parent / root.name


def coco(folder: Path, clips: list[FakeClip]) -> Path:
    """A converted root with the COCO form of the masks alone."""
    root = converted(folder, clips)
    shutil.rmtree(root / "panomasks")
    list_file = root / "panoptic_gt_VIPSeg_val.json"
    write_segments(root / "panomasksRGB", list_file, clips, suffix=".png")
    return root


def published(folder: Path, clips: list[FakeClip]) -> Path:
    return write_vipseg(folder / "VIPSeg", clips)


FORMS = {"published": published, "converted": converted, "coco": coco}


def truths(dataset: Dataset) -> dict[str, np.ndarray]:
    return {c.name: np.stack([c.ground_truth(i) for i in range(c.num_frames)]) for c in dataset}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_labels_of_vspw(tmp_path: Path, clips: list[FakeClip], form: str):
    dataset = open_dataset(FORMS[form](tmp_path, clips), "val")
    vspw = open_dataset(write_vspw(tmp_path / "VSPW", clips), "val")
    assert dataset.num_classes == 124
    assert dataset.class_names == vspw.class_names
    assert dataset.class_names is not None
    assert dataset.class_names[60] == "person"
    found, expected = truths(dataset), truths(vspw)
    for clip in clips:
        np.testing.assert_array_equal(found[clip.name], clip.labels)
        np.testing.assert_array_equal(expected[clip.name], clip.labels)
        opened = dataset.clip(clip.name)
        assert opened.frames == clip.frames
        assert opened.frame(1).shape == (*clip.labels.shape[1:], 3)
    assert verify_dataset(dataset.root, "val").ok
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def test_the_list_of_segments_is_part_of_the_content(tmp_path: Path, clips: list[FakeClip]):
    root = coco(tmp_path, clips)
    before = open_dataset(root, "val").content_sha256()
    path = root / "panoptic_gt_VIPSeg_val.json"
    path.write_text(path.read_text() + "\n")
    assert open_dataset(root, "val").content_sha256() != before


def test_opening_reads_no_image_and_no_list(tmp_path: Path, clips: list[FakeClip]):
    root = coco(tmp_path, clips)
    for path in (*root.rglob("*.png"), *root.rglob("*.jpg"), *root.glob("*.json")):
        path.write_bytes(b"")
    assert len(open_dataset(root, "val")) == 2


def test_test_clips_have_frames_only(tmp_path: Path, clips: list[FakeClip]):
    root = published(tmp_path, clips)
    shutil.rmtree(root / "panomasks" / clips[0].name)
    dataset = open_dataset(root, "val")
    assert not dataset.clips[0].has_ground_truth
    with pytest.raises(DataError, match=rf"panomasks/{clips[0].name}: clip .* has no masks"):
        dataset.clips[0].ground_truth(0)


def test_ids_of_the_format(clips: list[FakeClip]):
    ids = np.array([[0, 1, 124, 300, 399, 6100, 12499]], np.uint16)
    assert labels_from_panoptic(ids, 124).tolist() == [[255, 0, 123, 2, 2, 60, 123]]


def test_an_instance_of_stuff_is_void_as_the_known_mistake_is(
    tmp_path: Path, clips: list[FakeClip]
):
    """Value 200 in clip 353_-5sqmCF8OFU stands for void; 2, ceiling, has no instances."""
    root = published(tmp_path, clips)
    path = root / "panomasks" / clips[0].name / f"{clips[0].frames[0]}.png"
    values = np.array(Image.open(path)).astype(np.uint16)
    values[5, 5], values[5, 6] = 200, 2
    save(path, values)
    truth = open_dataset(root, "val").clips[0].ground_truth(0)
    assert truth[5, 5:7].tolist() == [255, 1]


@pytest.mark.parametrize("value", [12_500, 65_535])
def test_ids_of_no_class_are_refused_unless_read_as_void(
    tmp_path: Path, clips: list[FakeClip], value: int
):
    root = published(tmp_path, clips)
    path = root / "panomasks" / clips[0].name / f"{clips[0].frames[0]}.png"
    save(path, np.full((30, 48), value, np.uint16))
    with pytest.raises(DataError, match=rf"{path}: id {value} is neither void") as error:
        open_dataset(root, "val").clips[0].ground_truth(0)
    assert "\n" not in str(error.value)
    report = verify_dataset(root, "val")
    assert [fault.file for fault in report.faults] == [str(path)]
    lenient = open_dataset(root, "val", stray_labels="void")
    assert (lenient.clips[0].ground_truth(0) == 255).all()


def test_other_classes_may_be_given(tmp_path: Path):
    """Generated data in VIPSeg's layout brings its own list, of which no things are known."""
    root = tmp_path / "own"
    save(root / "imgs/a/1.png", np.zeros((2, 3, 3), np.uint8))
    save(root / "panomasks/a/1.png", np.array([[1, 2, 0], [100, 207, 3]], np.uint16))
    (root / "val.txt").write_text("a\n")
    (root / "classes.json").write_text(json.dumps({"1": "sky", "2": "road", "3": "car"}))
    dataset = open_dataset(root, "val")
    assert dataset.class_names == ("sky", "road", "car")
    assert dataset.clips[0].ground_truth(0).tolist() == [[0, 1, 255], [0, 1, 2]]


def test_bad_roots_are_one_line(tmp_path: Path, clips: list[FakeClip]):
    root = published(tmp_path, clips)
    mask = root / "panomasks" / clips[1].name / f"{clips[1].frames[2]}.png"
    save(mask, np.zeros((30, 48, 3), np.uint8))
    with pytest.raises(DataError, match=r"8-bit RGB PNG where ids as 8-bit or 16-bit grey"):
        open_dataset(root, "val").clips[1].ground_truth(2)
    save(mask, np.zeros((30, 40), np.uint16))
    with pytest.raises(DataError, match=r"is 30x40 \(height x width\) but .*jpg is 30x48"):
        open_dataset(root, "val").clips[1].ground_truth(2)
    mask.unlink()
    with pytest.raises(DataError, match=rf"{mask.parent}: no mask for frame {clips[1].frames[2]}"):
        open_dataset(root, "val").clips[1].ground_truth(2)
    shutil.rmtree(root / "imgs" / clips[1].name)
    with pytest.raises(DataError, match=r"no such clip folder; check the split list and imgs/"):
        open_dataset(root, "val")
    (root / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val.txt: no such split.*copy data_manifests/splits/"):
        open_dataset(root, "val")


def corrupt(content: str) -> dict[str, tuple[str, str]]:
    """Damaged lists of segments, and what is said of them."""
    data = json.loads(content)
    segment = data["annotations"][0]["annotations"][0]["segments_info"][0]
    identity, category = segment["id"], segment["category_id"]
    field = "annotations.0.annotations.0.segments_info.0"
    return {
        "cut": (content[:200], "top level: Invalid JSON"),
        "list": ("[]", "top level: Input should be"),
        "no category": (content.replace('"category_id"', '"kind"', 1), f"{field}.category_id: Fie"),
        "text": (content.replace(f'"id": {identity}', '"id": "x"', 1), f"{field}.id: Input should"),
        "unseen": (
            content.replace(f'"id": {identity}', '"id": 9', 1),
            r"png: no pixel has id 9, which .*val.json lists for this frame; image and list",
        ),
        "class": (
            content.replace(f'"category_id": {category}', '"category_id": 124', 1),
            r"category_id 124 of segment .* is no class; categories must be 0..123",
        ),
        "clip": (
            content.replace(data["annotations"][0]["video_id"], "other"),
            r"clip .* is not listed; check that the file is of this data set",
        ),
    }


@pytest.mark.parametrize("case", ["cut", "list", "no category", "text", "unseen", "class", "clip"])
def test_bad_lists_of_segments_are_one_line(tmp_path: Path, clips: list[FakeClip], case: str):
    root = coco(tmp_path, clips)
    path = root / "panoptic_gt_VIPSeg_val.json"
    content, message = corrupt(path.read_text())[case]
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        open_dataset(root, "val").clips[0].ground_truth(0)
    assert "\n" not in str(error.value)


def test_official_lists_and_things(shared_data: Path):
    facts = load_datasets_manifest()["vipseg"]
    for split, expected in facts.splits.items():
        names = manifest_path(f"splits/vipseg_{split}.txt").read_text().split()
        assert len(set(names)) == len(names) == expected.clips
        assert names == (shared_data / "vipseg" / f"{split}.txt").read_text().split()
    categories = json.loads((shared_data / "vipseg/panoVIPSeg_categories.json").read_text())
    assert facts.things == [c["id"] + 1 for c in categories if c["isthing"]]
    assert len(facts.things or ()) == 58


def test_vipseg_ids_are_vspw_labels():
    """Reading stuff by either rule gives the same class."""
    values = np.arange(125, dtype=np.uint8)[None]
    np.testing.assert_array_equal(
        labels_from_panoptic(values, 124), ground_truth_from_mask(values, 124)
    )


SEGMENTS = (
    b'{"annotations":[{"video_id":"a","annotations":'
    b'[{"file_name":"1.jpg","segments_info":[{"id":7,"category_id":3}]}]}]}'
)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_lists_give_one_line_or_segments(data: st.DataObject):
    content = bytearray(SEGMENTS)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    lines = 1
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pred.json"
        path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
        try:
            index = read_segments(path)
            assert all(
                isinstance(index.frame(c, f), dict) for c in index.clips for f in index.frames(c)
            )
        except DataError as error:
            lines = len(str(error).splitlines())
    assert lines == 1


def test_deep_lists_are_refused(tmp_path: Path):
    path = tmp_path / "pred.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"pred.json: top level: Invalid JSON"):
        read_segments(path)


def test_a_list_is_read_again_when_it_changes(tmp_path: Path):
    path = tmp_path / "pred.json"
    path.write_bytes(SEGMENTS)
    assert read_segments(path).frame("a", "1") == {7: 3}
    assert read_segments(path) is read_segments(path)
    path.write_bytes(SEGMENTS.replace(b"7", b"12"))
    assert read_segments(path).frame("a", "1") == {12: 3}


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_grey_ids_are_the_stored_values(tmp_path: Path, mode: str):
    values = np.arange(200).reshape(10, 20) * (300 if mode == "I;16" else 1)
    save(tmp_path / "a.png", values.astype(np.uint16 if mode == "I;16" else np.uint8), mode == "P")
    np.testing.assert_array_equal(read_id_image(tmp_path / "a.png", "grey"), values)


def test_colour_ids_count_red_first(tmp_path: Path):
    save(tmp_path / "a.png", np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [255] * 3]], np.uint8))
    ids = read_id_image(tmp_path / "a.png", "rgb")
    assert ids.tolist() == [[1, 256, 65_536, 2**24 - 1]]


@given(data=st.data())
def test_labels_equal_a_slow_reading_of_the_format(data: st.DataObject):
    """Each pixel by itself, by the rules that VIPSeg's README states."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    categories = rng.integers(1, 125, (7, 9))
    kinds = rng.integers(0, 3, (7, 9))  # void, stuff, thing
    things = 100 * categories + rng.integers(25, 100, (7, 9))
    ids = np.where(kinds == 0, 0, np.where(kinds == 1, categories, things))
    expected = [
        [255 if kind == 0 else category - 1 for kind, category in zip(*rows, strict=True)]
        for rows in zip(kinds.tolist(), categories.tolist(), strict=True)
    ]
    assert labels_from_panoptic(ids, 124).tolist() == expected
    segments = {i: (i if i < 125 else i // 100) - 1 for i in set(ids.ravel().tolist()) - {0}}
    assert labels_from_segments(ids, segments, 124, "image", "list").tolist() == expected
