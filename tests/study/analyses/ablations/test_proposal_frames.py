"""Frames that masklets are proposed on and those they are followed to, counted apart."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.analyses.ablations.proposal_frames import (
    frame_kinds,
    kinds_reading,
    kinds_table,
)
from tests.conftest import TINY_SIZE
from tests.masklets.common import runs_of

WINDOW = 3  # of clips of 5 frames: 0, 1, 2 and 3, 4
CLASSES = 3


def fake_masks(frame: int) -> np.ndarray:
    """(2, H, W): exact on later frames, too large on the first of a window."""
    masks = np.zeros((2, *TINY_SIZE), bool)
    edge = 10 if frame % WINDOW else 14
    masks[0, :edge], masks[1, edge:] = True, True
    return masks


def predicted(dataset: Dataset, root: Path, errors: tuple[int, int]) -> PredictionFolder:
    """Ground truth with so many wrong columns on first frames and on later ones."""
    folder = PredictionFolder(root, CLASSES)
    for place, clip in enumerate(dataset):
        for i in range(clip.num_frames):
            labels = np.where(clip.ground_truth(i) == 255, 0, clip.ground_truth(i))
            columns = errors[bool(i % WINDOW)] + place
            labels[:, :columns] = (labels[:, :columns] + 1) % CLASSES
            folder.write(clip, i, labels.astype(np.uint8))
    return folder


@pytest.fixture
def dataset(tiny_vspw: Path) -> Dataset:
    return open_dataset(tiny_vspw, "val")


def a_study(dataset: Dataset, tmp_path: Path, refined: tuple[int, int], reason: str = "") -> Any:
    """A study whose stages are done."""
    parts = [SimpleNamespace(frame=i, runs=lambda i=i: runs_of(fake_masks(i))) for i in range(5)]
    clip = SimpleNamespace(windows=lambda: [parts[:WINDOW], parts[WINDOW:]])
    folders = [predicted(dataset, tmp_path / n, e) for n, e in (("b", (4, 4)), ("r", refined))]
    base, after = (SimpleNamespace(folder=folder) for folder in folders)
    settings = SimpleNamespace(
        base_systems=["X"], votes=["frame"], bootstrap_samples=50, seed=0,
        masklet_sweep=lambda: {1: "short", WINDOW: "long"},
    )  # fmt: skip
    stores = {"long": SimpleNamespace(open=lambda _clip: clip)}
    return SimpleNamespace(
        settings=settings, dataset=dataset, why_not=lambda system: reason,
        masklets_for=lambda wanted: {one: stores[one] for one in wanted},
        base=lambda system: base, refined=lambda system, vote, store: after,
    )  # fmt: skip


def test_counts_are_those_of_going_through_all_pixels(dataset: Dataset, tmp_path: Path):
    study = a_study(dataset, tmp_path, (8, 2))
    kinds = frame_kinds(study)
    assert [kind.frames for kind in kinds] == [4, 6]
    for kind, later in zip(kinds, (False, True), strict=True):
        labelled = before = after = masked = main = 0
        for clip in dataset:
            maps = [PredictionFolder(tmp_path / name, CLASSES) for name in ("b", "r")]
            for i in (i for i in range(5) if bool(i % WINDOW) == later):
                truth = clip.ground_truth(i)
                base, refined = (folder.read(clip, i) for folder in maps)
                for place in np.argwhere(truth != 255):
                    at = tuple(place)
                    labelled += 1
                    before += base[at] == truth[at]
                    after += refined[at] == truth[at]
                for mask in fake_masks(i):
                    classes = truth[mask & (truth != 255)].tolist()
                    masked += len(classes)
                    main += max(classes.count(c) for c in range(CLASSES))
        assert kind.purity == pytest.approx(100 * main / masked)
        assert kind.right == pytest.approx(100 * before / labelled)
        assert kind.gain.gain == pytest.approx(100 * (after - before) / labelled)
    first, later = kinds
    assert first.purity < later.purity
    assert later.gain.low is not None
    assert first.gain.gain < 0 < later.gain.gain  # type: ignore[operator]


@pytest.mark.parametrize(
    ("refined", "words"), [((8, 2), "have fewer frames"), ((2, 8), "have more frames")]
)
def test_reading_follows_the_numbers(
    dataset: Dataset, tmp_path: Path, refined: tuple[int, int], words: str
):
    kinds = frame_kinds(a_study(dataset, tmp_path, refined))
    said = kinds_reading(kinds)
    assert words in said
    assert f"{kinds[0].gain.gain:+.2f} [" in said
    assert kinds_table(kinds)["Number"].tolist() == ["4", "6"]


def test_nothing_is_said_of_a_base_system_that_is_not_there(dataset: Dataset, tmp_path: Path):
    kinds = frame_kinds(a_study(dataset, tmp_path, (0, 0), "no predictions"))
    assert kinds == []
    assert kinds_reading(kinds) == ""
    assert kinds_table(kinds).empty
