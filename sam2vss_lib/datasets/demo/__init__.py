"""The embedded demo data sets: generated clips in VSPW layout, made once per machine."""

import logging
import os
import shutil
import tempfile
from collections import deque
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from sam2vss_lib.datasets.demo.night import NIGHT
from sam2vss_lib.datasets.demo.scenery import DAY, Scenery
from sam2vss_lib.datasets.demo.world import CLASS_NAMES, World
from sam2vss_lib.datasets.images import write_label_image
from sam2vss_lib.datasets.labels import class_palette
from sam2vss_lib.parallel.processes import map_in_processes
from sam2vss_lib.storage.files import held, sha256_json, write_json, write_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoSplit:
    """A split consists of clips with consecutive seeds."""

    first_seed: int
    clips: int
    frames: int


#: seeds far from each other and from those the demo SAM2 is trained on (1,000,000 and up)
DEMO_SPLITS: dict[str, DemoSplit] = {
    "train": DemoSplit(first_seed=10_000, clips=40, frames=16),
    "train-all": DemoSplit(first_seed=10_000, clips=120, frames=16),  # of the base models
    "val": DemoSplit(first_seed=1, clips=8, frames=40),
    # nothing is trained on these three: to compare rules on, to choose their numbers on, and to fit
    # what learns when to trust masklets
    "val-wide": DemoSplit(first_seed=20_001, clips=40, frames=24),
    "choose": DemoSplit(first_seed=30_001, clips=24, frames=24),
    "fit": DemoSplit(first_seed=40_001, clips=32, frames=24),
}
#: the second world only serves to measure: nothing is trained on it
DEMO_B_SPLITS: dict[str, DemoSplit] = {
    "val": DemoSplit(first_seed=500_001, clips=6, frames=24),
}
#: to be raised with every change of what is drawn; a test compares pictures with this number
REVISIONS = {"demo": 1, "demo-b": 1}


def cache_folder() -> Path:
    """Where generated data is kept: $SAM2VSS_CACHE or the user's cache."""
    return Path(os.environ.get("SAM2VSS_CACHE", Path.home() / ".cache" / "sam2vss"))


def demo_root(name: str = "demo", split: str = "val", workers: int = 1) -> Path:
    """Root of a split of a demo data set, generated on first use; of val, if there is no such one.

    The folder's name carries the world's revision and a hash of the split, so a changed generator
    never meets pictures of an older one. "demo-b" is of the second world, where models of the first
    meet surfaces, motion and frequencies of classes they were not trained on.
    """
    splits, scenery = {"demo": (DEMO_SPLITS, DAY), "demo-b": (DEMO_B_SPLITS, NIGHT)}[name]
    split = split if split in splits else "val"
    # of what is drawn, not of the code that draws it: that may move and be rewritten
    drawn = sha256_json(asdict(splits[split]))[:8]
    root = cache_folder() / f"{name}-{split}-r{REVISIONS[name]}-{drawn}"
    if root.is_dir():
        return root
    with held(root.with_name(f".{root.name}.lock")):
        if root.is_dir():  # another process was first
            return root
        building = Path(tempfile.mkdtemp(prefix=".demo-", dir=root.parent))
        try:
            write_demo(building, {split: splits[split]}, scenery, workers)
            building.chmod(0o755)
            building.rename(root)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return root


def write_demo(
    root: Path, splits: dict[str, DemoSplit], scenery: Scenery = DAY, workers: int = 1
) -> None:
    """Generate a data set in VSPW layout in an existing, empty folder, by so many processes."""
    write_json(root / "classes.json", {str(i + 1): name for i, name in enumerate(CLASS_NAMES)})
    for name, split in splits.items():
        clips = [f"{i + 1}_demo{split.first_seed + i}" for i in range(split.clips)]
        write = partial(_write_clip, split=split, scenery=scenery)
        jobs = [(root / "data" / clip, index) for index, clip in enumerate(clips)]
        deque(map_in_processes(write, jobs, workers=workers, what=f"demo {name} clips"), maxlen=0)
        write_text(root / f"{name}.txt", "\n".join(clips) + "\n")
    _log.info("generated the demo data set in %s", root)


def _write_clip(job: tuple[Path, int], split: DemoSplit, scenery: Scenery) -> None:
    (folder, index), frames = job, split.frames
    world = World(split.first_seed + index, num_frames=frames, scenery=scenery)
    palette = class_palette(len(CLASS_NAMES) + 1)
    (folder / "origin").mkdir(parents=True)
    for t in range(frames):
        frame, stem = world.frame(t), f"{t + 1:08d}"  # as VSPW counts
        Image.fromarray(frame.image).save(folder / "origin" / f"{stem}.jpg", quality=92)
        write_label_image(folder / "mask" / f"{stem}.png", frame.labels, palette)
