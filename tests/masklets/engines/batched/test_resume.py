"""`sam2vss masklets` killed in the middle of its work, and run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore

CLIPS = 3
CHANGED = {
    "window": 4,
    "points_per_side": 4,
    "pred_iou_thresh": 0.3,
    "stability_score_thresh": 0.3,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that take about a second each, so that a kill finds one half done."""
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=5, clips=CLIPS, frames=10)})
    return root


def start(world: Path, out: Path) -> subprocess.Popen[bytes]:
    command = "from sam2vss_lib.cli import app; app()"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in CHANGED.items()]
    arguments = ["masklets", "--checkpoint=demo", "--device=cpu", *options]
    return subprocess.Popen(
        [sys.executable, "-c", command, *arguments, f"--dataset={world}", f"--out={out}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def finished(out: Path) -> list[Path]:
    return sorted(out.glob("[!.]*.parquet"))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_killed_and_run_again(demo_model: Sam2Model, world: Path, tmp_path: Path) -> None:
    dataset = open_dataset(world, "val")
    names = [clip.name for clip in dataset]
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(world, out)
    while process.poll() is None and not finished(out):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in finished(out)}
    assert 1 <= len(kept) < CLIPS

    # what a killed run leaves half written is no clip to any reader of the store
    store = MaskletStore(out)
    for name in set(names) - {path.stem for path in kept}:
        with pytest.raises(DataError, match="no masklets of clip"):
            store.read(name)

    process = start(world, out)
    generate_masklets(dataset, demo_model, MaskletSettings.model_validate(CHANGED), undisturbed)
    assert process.wait() == 0
    assert [path.stem for path in finished(out)] == sorted(names)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not [*out.glob(".*"), *undisturbed.glob(".*")]
    for name in names:
        ours, expected = store.read(name), MaskletStore(undisturbed).read(name)
        assert ours.metadata == expected.metadata
        rows = pd.read_parquet(out / f"{name}.parquet")
        pd.testing.assert_frame_equal(rows, pd.read_parquet(undisturbed / f"{name}.parquet"))
        assert len(rows)
