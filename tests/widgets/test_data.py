"""Labels of the explorer are those that the stage `refine` writes for the same settings."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import Overlap, RefineSettings
from sam2vss_lib.views.layers import NO_MASKLET
from sam2vss_lib.widgets.cache import Bounded
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.stores import Choice
from tests.widgets.conftest import LOOSE, World, settings_at


def written(world: World, store: MaskletStore, settings: RefineSettings, out: Path) -> list:
    folder = PredictionFolder(out, world.base.num_classes)
    refine(world.dataset, world.base, store, folder, settings)
    (clip,) = world.dataset
    return [folder.read(clip, i) for i in range(clip.num_frames)]


def shown(data: ExplorerData, choice: Choice) -> list:
    (clip,) = data.dataset
    scenes = [Scene(clip.name, "Coarse", i) for i in range(clip.num_frames)]
    # not in order, as somebody looks at them
    labels = {s.frame: data.labels(s, choice) for s in [*scenes[::2], *scenes[1::2]]}
    return [labels[i] for i in range(clip.num_frames)]


@pytest.mark.parametrize("vote", ["frame", "masklet", "adaptive"])
@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_stored_settings_give_what_refine_writes(
    world: World, vote: str, overlap: Overlap, tmp_path: Path
) -> None:
    settings = RefineSettings(vote=vote, overlap=overlap, gate=False)  # of whole clips
    expected = written(world, world.fresh[LOOSE], settings, tmp_path)
    found = shown(world.data(LOOSE), Choice.of(LOOSE, vote, overlap))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert any((a != world.base.read(world.dataset.clips[0], i)).any() for i, a in enumerate(found))


@pytest.mark.parametrize("vote", ["frame", "masklet"])
@pytest.mark.parametrize("iou", [0.5, 0.8])
def test_raised_thresholds_give_what_refine_writes_for_a_run_of_sam2(
    world: World, vote: str, iou: float, tmp_path: Path
) -> None:
    anew = settings_at(iou, 0.2)
    expected = written(world, world.fresh[anew], RefineSettings(vote=vote), tmp_path)
    data = world.data(LOOSE)
    shown(data, Choice.of(LOOSE, vote))  # masks and votes are known, only the choice is new
    found = shown(data, Choice.of(anew, vote))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_windows_of_which_there_are_masklets_can_be_chosen(world: World, tmp_path: Path) -> None:
    other = settings_at(0.2, 0.2, window=5)
    data = world.data(LOOSE, other)
    expected = written(world, world.fresh[other], RefineSettings(), tmp_path)
    found = shown(data, Choice.of(other))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_where_no_masklet_is_chosen_the_base_prediction_stays(world: World) -> None:
    data, scene = world.data(LOOSE), Scene(world.dataset.clips[0].name, "Coarse", 1)
    nothing = Choice.of(settings_at(1.0, 0.2))
    assert np.array_equal(data.labels(scene, nothing), data.labels(scene))
    assert (data.top(scene, nothing) == NO_MASKLET).all()


@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_the_masklet_on_top_is_the_one_whose_class_is_painted(
    world: World, overlap: Overlap
) -> None:
    data, scene = world.data(LOOSE), Scene(world.dataset.clips[0].name, "Coarse", 1)
    choice = Choice.of(LOOSE, overlap=overlap)
    refined, top = data.refined(scene, choice), data.top(scene, choice)
    assert refined.part is not None
    classes = dict(zip(refined.part.values("masklet").tolist(), refined.classes, strict=True))
    painted = data.labels(scene).copy()
    for number in np.unique(top[top != NO_MASKLET]):
        painted[top == number] = classes[int(number)]
    assert np.array_equal(painted, refined.labels)


def test_what_is_kept_stays_within_its_bound() -> None:
    kept = Bounded[bytes](10, len)
    for key in range(100):
        assert kept.get(key, lambda key=key: bytes(key % 5)) == bytes(key % 5)
        assert kept.bytes <= 10
    assert kept.get("large", lambda: bytes(20)) == bytes(20)
    assert (len(kept), kept.bytes) == (1, 20)
