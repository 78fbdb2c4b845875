"""Notebook parameters: unknown names and wrong types are refused in one line."""

from typing import Any

import pytest
from pydantic import ValidationError

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.study.settings import (
    StudySettings,
    load_profile,
    make_settings,
    notebook_settings,
    settings_without_data,
)

BASE: dict[str, Any] = {
    "profile": "demo", "dataset": "demo", "out_dir": "out", "stages_dir": "stages",
}  # fmt: skip


def test_defaults_are_the_papers():
    settings = make_settings(BASE)
    masklets = settings.masklets
    assert (masklets.window, masklets.points_per_side) == (32, 16)
    assert (masklets.pred_iou_thresh, masklets.stability_score_thresh) == (0.6, 0.8)
    assert masklets.stability_score_offset == 0.9
    assert settings.votes[0] == "frame"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"windwo": 16}, ["unknown parameter 'windwo'", "window"]),
        ({"window": "16"}, ["'window'", "integer", "'16'"]),
        ({"points_per_side": 300}, ["'points_per_side'", "256"]),
        ({"seed": -1}, ["'seed'", "-1"]),
        ({"votes": ["frame", "frame"]}, ["votes: frame is given twice"]),
        ({"window": 0}, ["'window'", "greater than or equal to 1"]),
        ({"window": True}, ["'window'", "integer"]),
        ({"votes": ["pixel"]}, ["'votes.0'", "'pixel'"]),
        ({"votes": []}, ["'votes'"]),
        ({"base_systems": [{"method": "X", "backbone": "b"}]}, ["segmentor, predictions or both"]),
        ({"base_systems": [{"method": "X", "backbone": "b", "weights": "w"}]}, ["weights"]),
        ({"pred_iou_thresh": 1.5}, ["'pred_iou_thresh'", "1.5"]),
    ],
)
def test_bad_parameters_give_one_line_naming_them(parameters: dict[str, Any], words: list[str]):
    with pytest.raises(SettingsError) as caught:
        make_settings({**BASE, **parameters})
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_missing_parameter_is_named():
    with pytest.raises(SettingsError, match="'dataset': Field required"):
        make_settings({key: value for key, value in BASE.items() if key != "dataset"})


def test_notebook_namespace_gives_settings_and_unknown_variables_are_found():
    cells = [f"{name} = {value!r}" for name, value in BASE.items()]
    later = ["rows = compute()", "import pandas as pd", "%matplotlib inline"]
    namespace = {**BASE, "In": [*cells, "window = 4", *later], "window": 4, "rows": [1]}
    assert notebook_settings(namespace).window == 4  # also when later cells have run before
    with pytest.raises(SettingsError, match="unknown parameter 'wimdow'"):
        notebook_settings({**BASE, "In": [*cells, "# Parameters\nwimdow = 4"], "wimdow": 4})


def test_notebook_without_a_data_set_shares_the_checks():
    cells = ['profile = "demo"', 'out_dir = "out"', "frame = load()"]
    namespace: dict[str, Any] = {"profile": "demo", "out_dir": "out", "In": cells}
    assert settings_without_data(namespace).identity() == {"profile": "demo"}
    with pytest.raises(SettingsError, match="unknown parameter 'window'; known are: profile"):
        settings_without_data({**namespace, "In": [*cells, "window = 3"], "window": 3})
    with pytest.raises(SettingsError, match="'out_dir'"):
        settings_without_data({**namespace, "out_dir": 3})


def test_settings_are_frozen_and_identity_leaves_out_places():
    settings = make_settings(BASE)
    with pytest.raises(ValidationError):
        settings.window = 3  # pyright: ignore[reportAttributeAccessIssue]
    moved = make_settings({**BASE, "out_dir": "elsewhere"})
    assert moved.identity() == settings.identity()
    assert make_settings({**BASE, "window": 4}).identity() != settings.identity()


@pytest.mark.parametrize("profile", ["demo", "quick", "vspw", "vipseg"])
def test_profiles_are_valid(profile: str):
    settings = make_settings({**BASE, **load_profile(profile)})
    assert isinstance(settings, StudySettings)
    assert settings.base_systems


def test_unknown_profile_lists_the_known_ones():
    with pytest.raises(SettingsError, match=r"unknown profile 'x'.*demo, quick, vipseg, vspw"):
        load_profile("x")
