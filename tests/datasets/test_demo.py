"""The generated worlds: deterministic, exact, varied, and in VSPW layout on disk."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.datasets import open_dataset, verify_dataset
from sam2vss_lib.datasets.demo import (
    DEMO_B_SPLITS,
    DEMO_SPLITS,
    REVISIONS,
    DemoSplit,
    demo_root,
    write_demo,
)
from sam2vss_lib.datasets.demo.night import NIGHT
from sam2vss_lib.datasets.demo.scenery import DAY, Scenery
from sam2vss_lib.datasets.demo.things import paint
from sam2vss_lib.datasets.demo.world import AMBIGUOUS, CLASS_NAMES, World

# fmt: off
#: mean grey of 4 x 4 parts of the frames 0 and 19 of a clip of 20, row by row
PICTURES_OF_REVISION_1 = {
    "demo": [
        [153.31, 172.39, 135.84, 140.57, 52.73, 59.77, 69.06, 77.51,
         94.52, 105.08, 135.53, 111.62, 99.93, 100.45, 101.28, 99.18],
        [145.98, 167.02, 132.68, 134.61, 51.86, 64.3, 70.86, 70.75,
         93.24, 118.43, 122.05, 117.91, 97.07, 99.16, 96.39, 97.57],
    ],
    "demo-b": [
        [89.46, 87.62, 88.48, 91.21, 99.27, 99.2, 101.91, 109.62,
         62.86, 66.64, 81.64, 119.62, 136.67, 147.03, 146.86, 137.98],
        [92.78, 90.68, 100.47, 100.29, 106.08, 102.37, 104.09, 104.19,
         71.23, 61.45, 88.33, 128.62, 147.77, 161.36, 151.84, 141.27],
    ],
}
# fmt: on


def test_same_seed_same_pictures_in_any_order():
    first, second = World(5), World(5)
    late = second.frame(9)
    for t in (0, 9):
        a, b = first.frame(t), late if t == 9 else second.frame(t)
        assert (a.image == b.image).all()
        assert (a.regions == b.regions).all()
        assert (a.labels == b.labels).all()
    assert (World(6).frame(0).image != first.frame(0).image).any()


@pytest.mark.parametrize("seed", range(6))
def test_labels_follow_from_regions_except_the_ambiguous_rim(seed: int):
    world = World(seed)
    frame = world.frame(3)
    derived = world.region_labels[frame.regions]
    rim = frame.labels == AMBIGUOUS
    assert (frame.labels[~rim] == derived[~rim]).all()
    assert rim.mean() < 0.03
    assert frame.labels[~rim].max() <= len(CLASS_NAMES)


def test_worlds_are_varied_and_have_everything_the_demo_promises():
    worlds = [World(seed) for seed in range(60)]
    things = [len(world._things) for world in worlds]
    assert min(things) >= 3
    assert max(things) <= 9  # eight things and a puff of smoke
    labels = np.concatenate([world.region_labels for world in worlds])
    assert set(labels) == set(range(len(CLASS_NAMES) + 1))  # all classes, and unlabelled smoke
    repeated = [len(w.region_labels) > len(set(w.region_labels.tolist())) for w in worlds]
    assert np.mean(repeated) > 0.5  # several instances of one class


def test_things_move_but_labels_stay_exact_on_moving_outlines(monkeypatch: pytest.MonkeyPatch):
    """Drawn white on black, without blur and noise, a thing is bright where its region is."""

    def white(*arguments: Any) -> tuple[Any, Any]:
        colour, distance = paint(*arguments)
        return np.ones_like(colour), distance

    monkeypatch.setattr("sam2vss_lib.datasets.demo.world.paint", white)
    moved = []
    for seed in range(6):
        world = World(seed)
        world._canvas[:], world._cast[:] = 0, 0
        world._light, world._blur, world._noise_level = (0.0, 0.0, 0.0), 0.0, np.float32(0)
        for thing in list(world._things):
            thing.grain[:], thing.shade[:] = 0, 0
            world._things = [thing]
            seen = []
            for t in (0, 8, 30):
                frame = world.frame(t)
                inside, brightness = frame.regions >= len(world._layer_labels), frame.image[..., 0]
                assert inside[brightness >= 128].all()
                assert not inside[brightness <= 126].any()
                seen.append(inside)
            moved.append((seen[0] != seen[1]).any() and (seen[1] != seen[2]).any())
    assert len(moved) > 20
    assert np.mean(moved) > 0.9


def test_written_twice_the_demo_is_byte_identical(tmp_path: Path):
    roots = tmp_path / "one", tmp_path / "two"
    for root in roots:
        root.mkdir()
        write_demo(root, {"val": DemoSplit(first_seed=3, clips=1, frames=2)})
    one, two = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in roots
    )
    assert len(one) == 6  # two pictures, two masks, the classes, the split
    assert one == two


def test_written_data_set_is_valid_and_void_occurs(tmp_path: Path):
    write_demo(tmp_path, {"val": DemoSplit(first_seed=1, clips=2, frames=3)})
    report = verify_dataset(tmp_path, "val")
    assert report.ok, report.summary()
    dataset = open_dataset(tmp_path, "val")
    assert dataset.class_names == CLASS_NAMES
    assert [clip.num_frames for clip in dataset] == [3, 3]
    assert dataset.clips[0].size == (240, 320)
    voids = [(clip.ground_truth(0) == 255).any() for clip in dataset]
    assert any(voids)


def test_demo_is_generated_once_under_its_revision_and_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SAM2VSS_CACHE", str(tmp_path))
    small = {"val": DemoSplit(first_seed=1, clips=1, frames=1)}
    monkeypatch.setattr("sam2vss_lib.datasets.demo.DEMO_SPLITS", small)
    root = demo_root()
    stamp = (root / "val.txt").stat().st_mtime_ns
    assert demo_root() == root
    assert (root / "val.txt").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == [root.name]
    longer = {"val": DemoSplit(first_seed=1, clips=1, frames=2)}
    monkeypatch.setattr("sam2vss_lib.datasets.demo.DEMO_SPLITS", longer)
    others = [demo_root()]
    monkeypatch.setattr("sam2vss_lib.datasets.demo.DEMO_SPLITS", small)
    monkeypatch.setitem(REVISIONS, "demo", REVISIONS["demo"] + 1)
    others.append(demo_root())
    assert len({root, *others}) == 3


@pytest.mark.parametrize(
    ("scenery", "seed", "revision", "means"),
    [
        (DAY, 1, REVISIONS["demo"], PICTURES_OF_REVISION_1["demo"]),
        (NIGHT, 500_001, REVISIONS["demo-b"], PICTURES_OF_REVISION_1["demo-b"]),
    ],
)
def test_changed_pictures_need_another_revision(
    scenery: Scenery, seed: int, revision: int, means: list[list[float]]
):
    """Within a fifth of a grey level, since processors differ in last bits."""
    world = World(seed, num_frames=20, scenery=scenery)
    assert revision == 1, "write down the pictures of the new revision beside it"
    for t, expected in zip((0, 19), means, strict=True):
        parts = world.frame(t).image.mean(-1).reshape(4, 60, 4, 80).mean((1, 3))
        assert parts.ravel() == pytest.approx(expected, abs=0.2)


def test_splits_do_not_share_seeds():
    seeds = [
        set(range(split.first_seed, split.first_seed + split.clips))
        for split in (*DEMO_SPLITS.values(), *DEMO_B_SPLITS.values())
    ]
    assert not set.intersection(*seeds)


@pytest.mark.parametrize(
    ("seed", "digest"),
    [
        (1, "90d0b9bc82e8626f0670772804a82dfdbfd39e8b65e941622a7f1f795d4d6072"),
        (10_057, "463cd06ccc3619c763e8f4ad178fa95d6bfd0f7338ccf98171fd8b015cde7941"),
    ],
)
def test_the_first_world_never_changes(seed: int, digest: str):
    """Models were trained on it, so its labels and the paths of its things are fixed for good."""
    world = World(seed)
    regions = hashlib.sha256()
    for t in (0, 19):
        frame = world.frame(t)
        regions.update(frame.regions.tobytes() + frame.labels.tobytes())
    assert regions.hexdigest() == digest


def test_the_second_world_has_the_same_classes_and_other_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SAM2VSS_CACHE", str(tmp_path))
    small = {"val": DemoSplit(first_seed=500_001, clips=2, frames=2)}
    monkeypatch.setattr("sam2vss_lib.datasets.demo.DEMO_B_SPLITS", small)
    dataset = open_dataset("demo-b", "val")
    assert dataset.class_names == CLASS_NAMES
    assert dataset.root.name.startswith("demo-b-")
    assert verify_dataset("demo-b", "val").ok
    night = [World(seed, scenery=NIGHT) for seed in range(500_001, 500_041)]
    day = [World(seed, scenery=DAY) for seed in range(500_001, 500_041)]
    labels = [np.concatenate([w.region_labels for w in worlds]) for worlds in (night, day)]
    assert set(labels[0]) >= set(range(1, len(CLASS_NAMES) + 1))
    aloft = [CLASS_NAMES.index(name) + 1 for name in ("balloon", "kite")]
    share = [np.isin(found, aloft).mean() for found in labels]
    assert share[0] < 0.6 * share[1]
    light = [np.mean([w.frame(0).image.mean() for w in worlds]) for worlds in (night, day)]
    assert light[0] < 0.8 * light[1]
