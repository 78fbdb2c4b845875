"""The arbiter: it learns what there is to learn, is one file, and says what it is worth."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.fusion.arbiter import DEFAULT_COLUMNS, check_place, load_arbiter
from sam2vss_lib.fusion.calibration import measure_temperature, reliability
from sam2vss_lib.fusion.fit import Pixels, fit_arbiter, train_arbiter
from sam2vss_lib.fusion.fit_settings import FitSettings
from sam2vss_lib.refinement.settings import RefineSettings
from tests.fusion.common import CLASSES, Case

QUICK = FitSettings(seeds=2, epochs=30, batch_pixels=256)


def told_by(sign: int, seed: int = 0, count: int = 4000) -> Pixels:
    """Pixels on which the base model is right where two columns together say so."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=count).astype(np.float32) for name in DEFAULT_COLUMNS}
    right = sign * (columns["colour"] + columns["log_ratio"]) > 0
    return Pixels(columns, right, rng.integers(0, 3, count).astype(np.uint8), np.zeros(count, int))


@pytest.mark.parametrize("sign", [1, -1])
def test_it_learns_what_the_columns_tell(sign: int) -> None:
    arbiter = train_arbiter(told_by(sign), QUICK)
    unseen = told_by(sign, seed=1)
    assert ((arbiter.logits(unseen.columns) > 0) == unseen.base_right).mean() > 0.95


def test_it_is_one_file_and_the_same_for_the_same_pixels(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train_arbiter(told_by(1), QUICK).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    loaded, unseen = load_arbiter(tmp_path / "one"), told_by(1, seed=2).columns
    expected = train_arbiter(told_by(1), QUICK).logits(unseen)
    assert np.array_equal(loaded.logits(unseen), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_no_arbiter_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such arbiter; make it by sam2vss fusion fit"):
        load_arbiter(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="text: no arbiter"):
        load_arbiter(tmp_path / "text")
    with pytest.raises(SettingsError, match="text: holds no earlier arbiter; use another name"):
        check_place(tmp_path / "text")
    with pytest.raises(ValueError, match="vote learned goes with an arbiter"):
        RefineSettings(vote="learned")
    with pytest.raises(ValueError, match="vote learned goes with an arbiter"):
        RefineSettings(vote="frame", arbiter="x")


def test_the_embedded_arbiter_is_for_the_demo_and_says_so(tiny_vspw: Path, tmp_path: Path) -> None:
    card = load_arbiter("demo").card
    assert card["dataset"]["split"] == "fit"
    assert "generated clips alone" in card["note"]
    Case(tiny_vspw, tmp_path, 0)
    Case(tiny_vspw, tmp_path, 1, "second")
    command = ["refine", "--dataset", str(tiny_vspw), "--predictions", str(tmp_path / "base")]
    command += ["--masklets", str(tmp_path / "masklets"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--vote", "learned", "--arbiter", "demo"])
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("warning: --arbiter demo is for generated clips alone, not for")
    record = json.loads((tmp_path / "out" / "first" / "made_from.json").read_text())
    assert record["arbiter"] == "demo: for generated clips alone"


def test_temperature_is_found_where_probabilities_were_sharpened(
    tiny_vspw: Path, tmp_path: Path
) -> None:
    case = Case(tiny_vspw, tmp_path, 0)
    rng, (height, width) = np.random.default_rng(0), case.clip.size
    found = []
    for temperature in (1.0, 2.0):
        for i in case.clip.annotated:
            truth = case.clip.ground_truth(i)
            true = np.where(truth < CLASSES, truth, 0) == np.arange(CLASSES)[:, None, None]
            logits = np.where(true, 1.0, 0.0) + rng.gumbel(size=(CLASSES, height, width))
            raw = np.exp(temperature * logits)
            case.base.write(case.clip, i, truth * 0, (raw / raw.sum(0)).astype(np.float16))
        found.append(measure_temperature(case.dataset, case.base, 1))
    assert 1.7 < found[1] / found[0] < 2.3


def test_reliability_is_what_came_of_what_was_said() -> None:
    said, right = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    lines = reliability([said], [right])
    assert lines == [
        {"said": 0.05, "seen": 0.5, "pixels": 2},
        {"said": 0.975, "seen": 1.0, "pixels": 2},
    ]


def test_from_labels_to_refined_predictions(tiny_vspw: Path, tmp_path: Path) -> None:
    """The newcomer's path: own predictions with probabilities and labels, fit, then refine."""
    for seed, name in enumerate(("first", "second")):
        Case(tiny_vspw, tmp_path, seed, name)
    common = ["--dataset", str(tiny_vspw), "--predictions", str(tmp_path / "base")]
    common += ["--masklets", str(tmp_path / "masklets")]
    arbiter = tmp_path / "arbiter.safetensors"
    quick = ["--folds", "2", "--seeds", "1", "--epochs", "2"]
    command = ["fusion", "fit", *common, *quick, "--out", str(arbiter), "--json"]
    card = json.loads(CliRunner().invoke(app, command).stdout)
    assert card["dataset"]["clips"] == 2
    assert card["recommended"] in ("learned", "adaptive")
    assert set(card["importances"]) == set(DEFAULT_COLUMNS)
    assert card["gain_over"].keys() == {"window vote", "adaptive"}
    out = ["--vote", "learned", "--arbiter", str(arbiter), "--out", str(tmp_path / "refined")]
    first = CliRunner().invoke(app, ["refine", *common, *out])
    assert first.exit_code == 0, first.output
    assert "2 of them reused" in CliRunner().invoke(app, ["refine", *common, *out]).stdout
    CliRunner().invoke(app, [*command[:-1], "--dropout", "0.5"])
    again = CliRunner().invoke(app, ["refine", *common, *out])
    assert again.exit_code == 3
    assert "arbiter_sha256 is" in again.stderr
    assert again.stderr.count("\n") == 1


def test_too_few_clips_for_the_folds(tiny_vspw: Path, tmp_path: Path) -> None:
    case = Case(tiny_vspw, tmp_path, 0)
    with pytest.raises(SettingsError, match="1 clips in split val, fewer than --folds 4"):
        fit_arbiter(open_dataset(tiny_vspw, "val").take(1), [case.base], case.store, FitSettings())
