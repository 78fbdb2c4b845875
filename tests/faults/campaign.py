"""What the fault campaign shares: a small world, its undisturbed stages, and runs to disturb."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from unittest import mock

from sam2vss_lib.datasets.demo import DemoSplit, write_demo

REPOSITORY = Path(__file__).resolve().parents[2]
OUTPUTS = {"segment": "base", "masklets": "masklets", "refine": "refined", "evaluate": "metrics"}
STAGES = tuple(OUTPUTS)
CLIPS = 6
RUN_LIMIT_S = 300
_LOOSE = [
    *("--window=4", "--points-per-side=4"),
    *("--pred-iou-thresh=0.3", "--stability-score-thresh=0.3"),
]
_SERVER = multiprocessing.get_context("forkserver")
#: what the stages import, so that a child is at work as soon as it is forked
_PRELOADED = [
    *("tests.faults.campaign", "sam2vss_lib.cli", "sam2vss_lib.masklets.generate"),
    *("sam2vss_lib.segmentors", "sam2vss_lib.refinement.refine"),
    "sam2vss_lib.study.stages.evaluation",
    "sam2.automatic_mask_generator",
]


def draws(*names: object) -> random.Random:
    """Random numbers of a test; $SAM2VSS_FAULT_SEED gives others, and a failure shows the seed."""
    seed = "-".join(map(str, (os.environ.get("SAM2VSS_FAULT_SEED", "0"), *names)))
    print(f"seed {seed}")
    return random.Random(seed)


_runs = list["Run"]()


def end_runs() -> None:
    """Kill what a test that failed has left at work."""
    while _runs:
        _runs.pop().kill()


class Run:
    """A command of the command line in a process of its own.

    Args:
        arguments: of the command.
        log: files `<log>.out` and `<log>.err` for what it says.
        forked: whether it starts, all imported, from a server that has not computed anything yet,
            instead of in a new interpreter.
        environment: more of it, for a new interpreter.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        forked: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._logs = [log.with_suffix(".out"), log.with_suffix(".err")]
        if forked:
            process = _SERVER.Process(target=_command, args=(list(arguments), self._logs))
            # should another test have started the server, children import for themselves
            _SERVER.set_forkserver_preload(_PRELOADED)
            with mock.patch.dict(os.environ, _environment({})):
                forkserver.ensure_running()
            process.start()
            self._process = process
        else:
            with self._logs[0].open("w") as out, self._logs[1].open("w") as err:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "sam2vss_lib.cli", *arguments],
                    env=_environment(environment or {}),
                    stdout=out,
                    stderr=err,
                )
        _runs.append(self)
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll()
        return self._process.exitcode

    def wait(self) -> int:
        """The exit code at the end."""
        if isinstance(self._process, subprocess.Popen):
            self._process.wait(RUN_LIMIT_S)
        else:
            self._process.join(RUN_LIMIT_S)
        assert self.code is not None, f"still at it after {RUN_LIMIT_S} s"
        return self.code

    def kill(self) -> bool:
        """SIGKILL; whether it came before the end."""
        self._process.kill()
        return self.wait() == -signal.SIGKILL

    def said(self) -> tuple[str, str]:
        """Standard output and standard error."""
        out, err = (log.read_text() for log in self._logs)
        return out, err

    def succeed(self) -> dict[str, Any]:
        """What it printed as JSON after it has ended well."""
        assert self.wait() == 0, self.said()
        return json.loads(self.said()[0])


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    paths = [more.get("PYTHONPATH", ""), str(REPOSITORY)]
    return {
        **os.environ,
        **more,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONWARNINGS": "ignore::FutureWarning",  # torch's, of what sam2 calls
    }


def _command(arguments: list[str], logs: list[Path]) -> None:
    """What a forked child does."""
    for stream, log in enumerate(logs, start=1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    from sam2vss_lib.cli import app

    app(arguments)


@dataclass(frozen=True)
class World:
    """Clips, and what every stage makes of them when nothing disturbs it.

    Attributes:
        root: of the data set.
        undisturbed: folder with one folder of `OUTPUTS` per stage.
        durations_s: of the stages, start of the interpreter and imports included.
    """

    root: Path
    undisturbed: Path
    durations_s: dict[str, float] = field(default_factory=dict)

    def arguments(self, stage: str, out: Path, *more: str) -> list[str]:
        """Of the command that runs a stage on undisturbed inputs, into `out`'s folder for it."""
        folder, base = out / OUTPUTS[stage], self.undisturbed / "base"
        options = {
            "segment": ["--model=segformer-micro"],
            "masklets": ["--checkpoint=demo", *_LOOSE],
            "refine": [f"--predictions={base}", f"--masklets={self.undisturbed / 'masklets'}"],
            "evaluate": [f"--predictions={self.undisturbed / 'refined'}"],
        }
        path = folder / "metrics.json" if stage == "evaluate" else folder
        common = [f"--dataset={self.root}", f"--out={path}", "--device=cpu", "--json"]
        return [stage, *options[stage], *common, *more]

    def check_same(self, stage: str, out: Path) -> None:
        """Compare a stage's folder with the undisturbed one: names, and all bytes of all files."""
        ours, expected = contents(out, stage), contents(self.undisturbed, stage)
        assert ours.keys() == expected.keys()  # no lock, no temporary file, no folder too many
        assert [name for name in ours if ours[name] != expected[name]] == []


def make_world(folder: Path) -> World:
    """Clips of different lengths, and the stages on them, each in a new interpreter."""
    world = World(folder / "data", folder / "undisturbed")
    write_demo(world.root, {"val": DemoSplit(first_seed=5, clips=CLIPS, frames=7)})
    for clip, clip_folder in enumerate(sorted((world.root / "data").iterdir())):
        for path in clip_folder.glob("*/*"):
            if int(path.stem) > 3 + clip % 5:
                path.unlink()
    for stage in STAGES:
        begun = time.monotonic()
        Run(world.arguments(stage, world.undisturbed), folder / stage, forked=False).succeed()
        world.durations_s[stage] = time.monotonic() - begun
        assert len(contents(world.undisturbed, stage)) >= 2
    return world


def contents(out: Path, stage: str) -> dict[str, bytes | None]:
    """Everything in a stage's folder: bytes of files, without provenance, and None for folders."""
    folder = out / OUTPUTS[stage]
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else None
        if data is not None and path.name == "metrics.json":
            metrics = json.loads(data)
            assert metrics.pop("provenance")
            data = json.dumps(metrics).encode()
        found[str(path.relative_to(folder))] = data
    return found


def finished(out: Path, stage: str) -> dict[str, dict[Path, tuple[int, int]]]:
    """Clips that a resuming run must not touch: their files with inode and time of writing."""
    folder, clips = out / OUTPUTS[stage], dict[str, list[Path]]()
    if stage == "masklets":
        for path in folder.glob("[!.]*.parquet"):
            clips[path.stem] = [path, path.with_name(f"{path.name}.sha256")]
    elif stage != "evaluate":  # which counts afresh
        for record in folder.glob("*/made_from.json"):
            files = json.loads(record.read_text()).get("files") or ()
            if files:
                clips[record.parent.name] = [record, *(record.parent / name for name in files)]
    return {
        clip: {path: ((s := path.stat()).st_ino, s.st_mtime_ns) for path in paths}
        for clip, paths in clips.items()
    }


class Watch:
    """Sees whether anything of a finished clip is written again, while processes are at work."""

    def __init__(self, out: Path, stage: str) -> None:
        self._out, self._stage, self._stop = out, stage, Event()
        self._thread = Thread(target=self._look)
        self.seen: dict[str, dict[Path, tuple[int, int]]] = {}
        self.again: set[str] = set()

    def _look(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(0.02)
            for clip, files in finished(self._out, self._stage).items():
                if self.seen.setdefault(clip, files) != files:
                    self.again.add(clip)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self.again, f"computed twice: {self.again}"


def temporary_files(folder: Path) -> set[str]:
    """What is being written anywhere in a folder, and what killed writers have left."""
    names = (name for _, _, names in os.walk(folder) for name in names)
    return {name for name in names if name.startswith(".tmp-")}


def kill_at(run: Run, moment_s: float, *, writing: Path | None = None) -> bool:
    """SIGKILL after a time or, with a folder, at the first file begun in it from then on.

    Returns:
        Whether it came before the end.
    """
    until = time.monotonic() + moment_s
    while run.code is None and time.monotonic() < until:
        time.sleep(0.001)
    if writing is not None:
        before = temporary_files(writing)
        while run.code is None and temporary_files(writing) <= before:
            time.sleep(0.0002)
    return run.kill()
