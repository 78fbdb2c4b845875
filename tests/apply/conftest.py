"""One generated clip, and what `apply` makes of it with an embedded base model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.datasets.demo.world import CLASS_NAMES

SMALL = ("--checkpoint", "demo", "--window", 4, "--points-per-side", 3, "--device", "cpu")
FRAMES, CLASSES = 6, len(CLASS_NAMES)


def apply(*arguments: Any) -> Result:
    """Run `sam2vss apply` with few masklets."""
    return CliRunner().invoke(app, ["apply", *map(str, (*arguments, *SMALL))])


@pytest.fixture(scope="session")
def clip_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one clip of the demo, with ground truth."""
    root = tmp_path_factory.mktemp("data") / "one"
    root.mkdir()
    write_demo(root, {"val": DemoSplit(first_seed=5, clips=1, frames=FRAMES)})
    return root


@pytest.fixture(scope="session")
def applied(clip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `apply` has made of this data set."""
    out = tmp_path_factory.mktemp("applied") / "out"
    done = apply(clip_root, "--model", "segformer-micro", "--out", out)
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Run `apply` where it is to be refused, and give the one line that it says."""

    def run(code: int, *arguments: Any) -> str:
        done = apply(*arguments, *(() if "--out" in arguments else ("--out", tmp_path / "out")))
        assert done.exit_code == code, done.output
        *_, line = done.stderr.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return run
