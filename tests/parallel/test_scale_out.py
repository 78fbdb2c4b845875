"""The stages on several workers and machines leave the files that one worker leaves."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from tests.parallel.ray_cluster import NODE, simulated_cluster

pytest.importorskip("ray", reason="the extra [cluster] is not installed")

LOOSE = [
    *("--window", "4", "--points-per-side", "4"),
    *("--pred-iou-thresh", "0.3", "--stability-score-thresh", "0.3"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of different lengths."""
    root = tmp_path_factory.mktemp("world")
    write_demo(root, {"val": DemoSplit(first_seed=5, clips=12, frames=10)})
    frames = sorted((root / "data").glob("*/*/*"))
    for clip, folder in enumerate(sorted((root / "data").iterdir())):
        for path in frames:
            if folder in path.parents and int(path.stem) > 3 + clip % 7:
                path.unlink()
    return root


def start(command: str, world: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    code = "from sam2vss_lib.cli import app; app()"
    arguments = [command, f"--dataset={world}", f"--out={out}", "--device=cpu", *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(command: str, world: Path, out: Path, *options: str) -> None:
    process = start(command, world, out, *options)
    said = process.communicate(timeout=600)
    assert process.returncode == 0, said


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def all_stages(world: Path, out: Path, *places: str) -> dict[str, bytes]:
    """Every stage; metrics as sums, as the JSON file holds provenance."""
    base, masklets, refined = out / "base", out / "masklets", out / "refined"
    run("segment", world, base, "--model=segformer-micro", *places)
    run("masklets", world, masklets, "--checkpoint=demo", *LOOSE, *places)
    options = [f"--predictions={base}", f"--masklets={masklets}"]
    run("refine", world, refined, *options, *places)
    run("evaluate", world, out / "metrics.json", f"--predictions={refined}", *places)
    (out / "metrics.json").unlink()
    return contents(out)


def test_metrics_on_a_cluster(tiny_vspw: Path, perfect_predictions: Path, tmp_path: Path) -> None:
    options = [f"--predictions={perfect_predictions}", "--label-offset=1"]
    with simulated_cluster() as cluster:
        run("evaluate", tiny_vspw, tmp_path / "ours.json", *options, f"--ray={cluster.address}")
    run("evaluate", tiny_vspw, tmp_path / "alone.json", *options)
    ours, alone = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("ours", "alone"))
    assert ours.pop("provenance")
    assert alone.pop("provenance")
    assert ours == alone
    assert ours["metrics"]["mIoU"] == 100
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "alone.npz").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1500)  # processes start slowly on a busy machine
def test_one_worker_and_four_leave_the_same_files(world: Path, tmp_path: Path) -> None:
    one = all_stages(world, tmp_path / "one", "--workers=1")
    assert len(one) > 100
    assert all_stages(world, tmp_path / "four", "--workers=4") == one
    assert all_stages(world, tmp_path / "none") == one


@pytest.mark.slow
@pytest.mark.timeout(1500)  # processes start slowly on a busy machine
def test_machines_may_leave_and_join(world: Path, tmp_path: Path) -> None:
    options = ["--checkpoint=demo", *LOOSE]
    ours, alone = tmp_path / "ours", tmp_path / "alone"
    with simulated_cluster(1) as cluster:
        nodes: list[Any] = [cluster.add_node(num_cpus=1, **NODE) for _ in range(3)]
        cluster.wait_for_nodes()
        process = start("masklets", world, ours, *options, f"--ray={cluster.address}")
        while not list(ours.glob("*.parquet")):
            assert process.poll() is None
            time.sleep(0.01)
        cluster.remove_node(nodes[0], allow_graceful=False)
        cluster.add_node(num_cpus=1, **NODE)
        assert len(list(ours.glob("*.parquet"))) < 12  # it was in the middle of it
        said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    run("masklets", world, alone, *options)
    assert contents(ours) == contents(alone)
