"""Phrases by class: own names, files, and what is refused."""

from pathlib import Path

import pytest

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.words.phrases import class_phrases

NAMES = ("sky", "other_road", "car")


def test_classes_are_said_by_their_names_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "phrases.yaml"
    file.write_text("Car: [a car , lorry]\nsky: blue sky\n")
    own = {"sky": ("sky",), "other_road": ("other road",), "car": ("car",)}
    assert class_phrases(NAMES, None) == own
    given = {"sky": ("blue sky",), "other_road": ("other road",), "car": ("a car", "lorry")}
    assert class_phrases(NAMES, file) == given
    assert [*class_phrases(NAMES, file)] == [*NAMES]
    # footage without a class list has the file's
    assert class_phrases(None, file) == {"Car": ("a car", "lorry"), "sky": ("blue sky",)}
    with pytest.raises(SettingsError, match="no class list; give a file of classes"):
        class_phrases(None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"cow": ["cow"]}', "'cow' is no class of the data set; its classes are sky, other_road"),
        ("[sky, car]", "is no object of classes and phrases; write {"),
        ("{", "is neither JSON nor YAML"),
        ("car: []", r"the phrases of 'car' are \[\]"),
        ("car: 3", "the phrases of 'car' are 3"),
        ("car: [' ']", "a phrase of 'car' is ' '"),
        ("car: [1]", "a phrase of 'car' is 1"),
        ("1: [car]", "the class 1 is no text; put it in quotes"),
        ("car: a\nCAR: b", "has 'CAR' twice"),
    ],
)
def test_files_that_say_something_else_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "phrases.json"
    file.write_text(text)
    with pytest.raises(DataError, match=f"phrases.json: {said}") as caught:
        class_phrases(NAMES, file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.json: not readable \(No such file"):
        class_phrases(NAMES, tmp_path / "absent.json")
