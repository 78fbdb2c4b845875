"""This checkout beside an earlier commit of it: evaluate, refine and the whole demo study.

Every run is a process of its own with the same interpreter, start-up included, in turns.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.evaluate import SIZE_PX, write_clips
from benchmarks.rows import side_by_side
from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_HERE = Path(__file__).parents[1]
_MASKLETS = 30
Run = Callable[..., list[bytes]]


def run(*, quick: bool, repeats: int, against: str | None) -> Iterator[Comparison]:
    """One row each; the mean IoU is 1 where both versions write the same bytes."""
    if against is None:
        return
    with TemporaryDirectory(prefix="sam2vss-bench-") as temporary, _checkout(against) as earlier:
        root = Path(temporary)
        clips, frames = (1, 8) if quick else (4, 50)
        write_clips(root, clips, frames)
        store = write_masklets(root / "masklets", clips, frames)
        data = ("--dataset", root, "--predictions", root / "base", "--device", "cpu")
        cases: dict[str, tuple[Run, int]] = {
            "evaluate": (partial(_output, "evaluate", *data, "--out", "metrics.json"), clips),
        }
        for vote in ("frame", "masklet"):
            refine = ("refine", *data, "--masklets", store, "--vote", vote, "--out", "refined")
            cases[f"refine, {vote} vote, {_MASKLETS} masklets"] = (partial(_output, *refine), clips)
        for case, (work, count) in cases.items():
            yield from _compared(
                work, earlier, against, case=case, repeats=repeats, frames=count * frames
            )
        if not quick:
            yield from _compared(_study, earlier, against, case="demo study", repeats=1)


def _compared(
    work: Run, earlier: Path, against: str, *, case: str, repeats: int, frames: int | None = None
) -> list[Comparison]:
    return side_by_side(
        lambda: work(_HERE),
        {f"commit {against}": lambda: work(earlier)},
        repeats=repeats,
        warm_up=False,
        section="versions",
        case=case,
        frames=frames,
        mean_iou=lambda ours, theirs: float(ours == theirs),
    )


@contextmanager
def _checkout(commit: str) -> Generator[Path]:
    git = ["git", "-C", str(_HERE), "worktree"]
    with TemporaryDirectory(prefix="sam2vss-bench-") as folder:
        place = Path(folder) / "earlier"
        subprocess.run([*git, "add", "--detach", place, commit], check=True, capture_output=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", place], check=True)


def _command(tree: Path, cwd: str, *words: object, threads: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree), "SAM2VSS_CACHE": f"{cwd}/cache"}
    if not threads:
        environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, "-m", "sam2vss_lib.cli", *map(str, words)]
    subprocess.run(command, env=environment, cwd=cwd, check=True, capture_output=True)


def _output(*words: object) -> list[bytes]:
    """The PNGs that a command writes, if any; the last word is the checkout."""
    *command, tree = words
    with TemporaryDirectory(prefix="sam2vss-bench-") as cwd:
        _command(Path(str(tree)), cwd, *command, threads=False)
        return [path.read_bytes() for path in sorted(Path(cwd).glob("refined/*/*.png"))]


def _study(tree: Path) -> list[bytes]:
    """The tables of the study; notebook 08's holds times."""
    with TemporaryDirectory(prefix="sam2vss-bench-") as cwd:
        words = ("study", "--profile", "demo", "--workers", "2", "--out", f"{cwd}/results")
        _command(tree, cwd, *words, threads=True)
        tables = sorted(Path(cwd).glob("results/demo/*/table.csv"))
        return [path.read_bytes() for path in tables if not path.parent.name.startswith("08")]


def write_masklets(folder: Path, clips: int, frames: int) -> Path:
    """Ellipses that drift over the frames, in one window a clip."""
    (height, width), store = SIZE_PX, MaskletStore(folder)
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    about = {"settings": {}, "settings_sha256": "", "checkpoint_sha256": "", "frames": frames}
    for clip in range(clips):
        centres = random.random((_MASKLETS, 2)) * SIZE_PX
        radii = random.uniform(15, 110, (_MASKLETS, 2))
        scores = random.random(_MASKLETS).astype(np.float32)
        with store.writer(f"{clip}_clip", {**about, "clip": f"{clip}_clip"}) as writer:
            for frame in range(frames):
                ellipses = [
                    ((y - cy) / ry) ** 2 + ((x - cx - 2 * frame) / rx) ** 2 <= 1
                    for (cy, cx), (ry, rx) in zip(centres, radii, strict=True)
                ]
                masks = np.stack(ellipses)
                writer.add(
                    mask_columns(masks), encode_masks(masks), window=0, anchor=0, frame=frame,
                    predicted_iou=scores, stability=scores, object_score=scores,
                )  # fmt: skip
    return store.root
