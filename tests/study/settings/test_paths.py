"""Relative paths: one rule for every setting that names a file."""

from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.study.settings import BaseSystem
from sam2vss_lib.study.settings.paths import (
    missing_weights,
    model_from,
    parameters_from,
    path_from,
    weights_from,
)

BASE = Path("/study")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("data/VSPW", "/study/data/VSPW"),
        ("/elsewhere/VSPW", "/elsewhere/VSPW"),
        ("demo", "demo"),
        ("", ""),
    ],
)
def test_paths(written: str, found: str) -> None:
    assert path_from(written, BASE) == found


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("demo", "demo"),
        ("sam2.1_hiera_large", "sam2.1_hiera_large"),
        ("mine/sam2.pt", "/study/mine/sam2.pt"),
        ("/mine/sam2.safetensors", "/mine/sam2.safetensors"),
    ],
)
def test_weights_are_a_name_or_a_file(written: str, found: str) -> None:
    assert weights_from(written, BASE) == found


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("segformer-micro", "segformer-micro"),
        ("segformer-micro@4", "segformer-micro@4"),
        ("sam2:demo@fpn16", "sam2:demo@fpn16"),
        ("cffm-mit_b1:weights/a.pth@fuse", "cffm-mit_b1:/study/weights/a.pth@fuse"),
        ("transformers:facebook/dinov2-base@518", "transformers:facebook/dinov2-base@518"),
    ],
)
def test_models_are_a_name_and_may_have_a_file_and_a_part(written: str, found: str) -> None:
    assert model_from(written, BASE) == found


def test_a_folder_of_weights_is_a_path_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "hub" / "mine").mkdir(parents=True)
    spec = model_from("segformer-mit_b0:hub/mine", tmp_path)
    assert spec == f"segformer-mit_b0:{tmp_path}/hub/mine"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "hub").mkdir()
    assert path_from("~/film.mp4", BASE) == f"{tmp_path}/film.mp4"
    assert model_from("segformer-mit_b0:~/hub", BASE) == f"segformer-mit_b0:{tmp_path}/hub"
    assert missing_weights("segformer-mit_b0:~/a.pth", BASE) == "~/a.pth"
    (tmp_path / "a.pth").touch()
    assert missing_weights("segformer-mit_b0:~/a.pth", BASE) is None
    system = BaseSystem(method="CFFM", backbone="", predictions="~/hub")
    assert system.predictions == f"{tmp_path}/hub"


def test_parameters_and_the_systems_in_them() -> None:
    given: dict[str, Any] = {
        "dataset": "d",
        "window": 8,
        "base_systems": [{"method": "CFFM", "predictions": "p", "segmentor": "cffm-mit_b0:w.pth"}],
        "encoders": [{"encoder": None}],
    }
    assert parameters_from(given, BASE) == {
        "dataset": "/study/d",
        "window": 8,
        "base_systems": [
            {"method": "CFFM", "predictions": "/study/p", "segmentor": "cffm-mit_b0:/study/w.pth"}
        ],
        "encoders": [{"encoder": None}],
    }


@pytest.mark.parametrize(
    ("there", "predicts_here", "lacks"),
    [
        ([], True, "no predictions at maps and no weights at w.pth"),
        (["maps"], False, None),
        (["w.pth"], True, None),
        (["maps", "w.pth"], False, None),
    ],
)
def test_predictions_are_used_where_they_exist_and_else_the_weights(
    tmp_path: Path, there: list[str], predicts_here: bool, lacks: str | None
) -> None:
    system = BaseSystem(
        method="CFFM", backbone="MiT-B0", predictions="maps", segmentor="cffm-mit_b0:w.pth"
    )
    for name in there:
        (tmp_path / name).mkdir()
    assert system.predicts_here(tmp_path) is predicts_here
    assert system.lacks(tmp_path) == lacks
