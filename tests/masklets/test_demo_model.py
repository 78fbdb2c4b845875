"""The shipped demo SAM2: small, loadable, and as good as its card says."""

from pathlib import Path

import pytest
from safetensors import safe_open

from demo_training.sam2 import quality
from sam2vss_lib.masklets import sam2
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.storage.files import read_json

FOLDER = Path(sam2.__file__).parent / "demo"


def test_weights_are_small_half_precision_safetensors():
    path = FOLDER / "sam2_micro.safetensors"
    assert path.stat().st_size <= 10 * 2**20
    with safe_open(path, framework="pt") as file:
        dtypes = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
    assert dtypes == {"F16"}


def test_recorded_quality_is_of_these_weights():
    recorded = read_json(FOLDER / "quality.json")
    assert recorded["checkpoint_sha256"] == load_sam2("demo").checkpoint_sha256


def test_recorded_quality_does_not_fall():
    """The quality floor of the demo model."""
    recorded = read_json(FOLDER / "quality.json")
    assert recorded["proposals"]["best_iou"] >= 0.65
    tracking = recorded["tracking"]
    assert tracking["16"]["iou"] >= 0.70
    for after in ("8", "16"):
        assert tracking[after]["iou"] >= tracking[after]["unmoved"] + 0.1


def test_card_prints_the_recorded_numbers():
    card = (FOLDER / "MODEL_CARD.md").read_text()
    recorded = read_json(FOLDER / "quality.json")
    assert f"{recorded['proposals']['best_iou']:.2f}" in card
    for entry in recorded["tracking"].values():
        assert f"{entry['iou']:.2f}" in card
        assert f"{entry['unmoved']:.2f}" in card


@pytest.mark.slow
def test_recorded_quality_is_what_the_script_measures():
    recorded = read_json(FOLDER / "quality.json")
    measured = quality.measure(load_sam2("demo"), recorded["clips"])
    assert measured["proposals"]["best_iou"] == pytest.approx(
        recorded["proposals"]["best_iou"], abs=0.01
    )
    for after, entry in recorded["tracking"].items():
        assert measured["tracking"][after]["iou"] == pytest.approx(entry["iou"], abs=0.01)
