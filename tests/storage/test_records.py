"""Records of what a finished clip was made from: reused when equal, refused when not."""

from pathlib import Path

import pytest

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.records import (
    RECORD_NAME,
    is_finished,
    mark_finished,
    mark_started,
    sha256_files,
)

MADE_FROM = {"settings": {"vote": "frame", "radii": [2, 5]}, "sha256": "0" * 64}


def test_finished_only_once_marked(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    assert not is_finished(folder, MADE_FROM)
    mark_finished(folder, MADE_FROM)
    assert is_finished(folder, MADE_FROM)


def test_what_was_begun_is_ours_but_not_finished(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    mark_started(folder, MADE_FROM)
    (folder / "1.png").touch()
    assert not is_finished(folder, MADE_FROM)
    with pytest.raises(DataError, match="made with other inputs: sha256"):
        is_finished(folder, {**MADE_FROM, "sha256": "1" * 64})
    mark_started(folder, MADE_FROM)  # a second try
    assert not is_finished(folder, MADE_FROM)
    mark_finished(folder, MADE_FROM)
    assert is_finished(folder, MADE_FROM)
    mark_started(folder, MADE_FROM)  # to mend a lost file
    assert is_finished(folder, MADE_FROM)


def test_a_lost_file_is_made_anew_and_a_changed_one_is_said(tmp_path: Path) -> None:
    file = tmp_path / "1.png"
    mark_started(tmp_path, MADE_FROM)
    file.write_bytes(b"labels")
    mark_finished(tmp_path, MADE_FROM)
    file.write_bytes(b"label5")
    for look in (lambda: is_finished(tmp_path, MADE_FROM), lambda: sha256_files([file])):
        with pytest.raises(DataError, match=r"1\.png: changed since it was written; move it away"):
            look()
    file.unlink()
    assert not is_finished(tmp_path, MADE_FROM)


def test_files_written_later_are_not_in_the_record(tmp_path: Path) -> None:
    (tmp_path / "sums.npz").touch()
    (tmp_path / "metrics.json").touch()
    mark_finished(tmp_path, MADE_FROM, pattern="sums.npz")
    (tmp_path / "metrics.json").write_text("{}")
    assert is_finished(tmp_path, MADE_FROM)


def test_files_of_unknown_origin_are_refused(tmp_path: Path) -> None:
    for name in (".DS_Store", "2.png", "1.png"):
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        mark_started(tmp_path, MADE_FROM)
    assert str(caught.value) == (
        f"{tmp_path}: holds files of unknown origin, such as 1.png; move them away or use "
        "another --out"
    )
    assert not (tmp_path / RECORD_NAME).exists()
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").unlink()
    mark_started(tmp_path, MADE_FROM)


@pytest.mark.parametrize(
    ("wanted", "difference"),
    [
        ({**MADE_FROM, "sha256": "1" * 64}, "sha256 is 000000000000..., not 111111111111..."),
        (
            {**MADE_FROM, "settings": {"vote": "masklet", "radii": [2, 5]}},
            "settings.vote is frame, not masklet",
        ),
        ({"settings": MADE_FROM["settings"]}, "sha256 is 000000000000..., not None"),
        ({**MADE_FROM, "settings": None}, "settings is {'vote': 'fr..., not None"),
    ],
)
def test_other_inputs_are_named(tmp_path: Path, wanted: dict, difference: str) -> None:
    mark_finished(tmp_path, MADE_FROM)
    with pytest.raises(DataError) as caught:
        is_finished(tmp_path, wanted)
    assert str(caught.value) == (
        f"{tmp_path}: made with other inputs: {difference}; use another --out"
    )


@pytest.mark.parametrize("text", ['{"settings": ', "[]", "1", '{"files": [1]}'])
def test_damaged_record_gives_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD_NAME).write_text(text)
    with pytest.raises(DataError, match=RECORD_NAME):
        is_finished(tmp_path, MADE_FROM)


def test_hash_of_files_depends_on_contents_and_order(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_bytes(b"1")
    paths[1].write_bytes(b"2")
    before = sha256_files(paths)
    assert before == sha256_files(iter(paths)) != sha256_files(paths[::-1])
    paths[1].write_bytes(b"3")
    assert sha256_files(paths) != before
    with pytest.raises(DataError, match="c: not readable"):
        sha256_files([tmp_path / "c"])
