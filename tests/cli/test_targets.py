"""Every command that writes looks at the place first: refused in one line, or links followed."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from tests.storage.test_targets import NO_FILE, NO_FOLDER, state

#: what every command that writes is called with, and where; {name} is made by `World`
FOLDERS = {
    "segment": "--dataset {data} --model segformer-micro --device cpu --out {out}",
    "masklets": "--dataset {data} --checkpoint demo --window 2 --points-per-side 2 --device cpu "
    "--out {out}",
    "refine": "--dataset {data} --predictions {base} --masklets {masklets} --device cpu "
    "--out {out}",
    "predictions convert": "--dataset {data} --format index --predictions {base} --out {out}",
    "data convert": "video {data}/data/1_demo5/origin {out}",
    "words segment": "--dataset {data} --masklets {masklets} --features {out}-features "
    "--device cpu --out {out}",
    "study": "--only 10 --out {out}",
    "apply": "{data} --predictions {base} --checkpoint demo --window 2 --points-per-side 2 "
    "--device cpu --out {out}",
}
FILES = {
    "evaluate": "--dataset {data} --predictions {base} --device cpu --out {out}",
    "data verify": "{data} --workers 1 --report {out}",
}
READ_ONLY = {"plan", "data fetch"}  # whose --out is only looked into
#: tested in tests/fusion/test_arbiter.py and tests/segmentors/hugging_face/test_classes.py
ELSEWHERE = {"fusion fit", "predictions classes"}
ALL = FOLDERS | FILES
EARLIER = dict.fromkeys(("metrics", "protocol", "num_clips", "faults"))  # a result of either


@dataclass(frozen=True)
class World:
    """Inputs of all commands: a clip of two frames, its predictions and its masklets."""

    data: Path
    base: Path
    masklets: Path

    def call(self, command: str, out: Path, **other: Path) -> Result:
        places = {**vars(self), "out": out, **other}
        arguments = [word.format(**places) for word in ALL[command].split()]
        return CliRunner().invoke(app, [*command.split(), *arguments])


@pytest.mark.parametrize("command", FILES)
def test_no_file_of_the_users_is_replaced(world: World, command: str, tmp_path: Path) -> None:
    for name, content in (("val.txt", "clip\n"), ("classes.json", '{"1": "wall"}')):
        path = tmp_path / name
        path.write_text(content)
        done = world.call(command, path)
        assert done.exit_code == 2
        assert f"{path}: holds no earlier result; use another name" in done.stderr
        assert path.read_text() == content
    for _ in range(2):  # our own is
        assert world.call(command, tmp_path / "own.json").exit_code == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    made = World(root / "data", root / "base", root / "masklets")
    made.data.mkdir()
    write_demo(made.data, {"val": DemoSplit(first_seed=5, clips=1, frames=2)})
    for command, out in (("segment", made.base), ("masklets", made.masklets)):
        done = made.call(command, out)
        assert done.exit_code == 0, done.output
    return made


def test_the_table_has_every_command_that_writes() -> None:
    found: set[str] = set()

    def look(command: object, name: str) -> None:
        for part, inner in getattr(command, "commands", {}).items():
            look(inner, f"{name} {part}".strip())
        options = {parameter.name for parameter in getattr(command, "params", [])}
        if options & {"out", "target", "report_path"}:
            found.add(name)

    look(typer.main.get_command(app), "")
    assert found == {*ALL, *READ_ONLY, *ELSEWHERE}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *((command, kind) for command in FOLDERS for kind in NO_FOLDER),
        *((command, kind) for command in FILES for kind in NO_FILE),
    ],
)
def test_another_kind_of_thing_is_refused_before_any_work(
    tmp_path: Path, command: str, kind: str
) -> None:
    """There are no inputs, which would be exit code 3: the place is looked at before them."""
    make, words = (NO_FILE if command in FILES else NO_FOLDER)[kind]
    inputs, out = tmp_path / "none", tmp_path / "places" / "run.v1"
    out.parent.mkdir()
    make(out)
    before = state(out.parent)
    done = World(inputs, inputs, inputs).call(command, out)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {out}: {words}")
    assert "choose another" in line
    assert state(out.parent) == before


@pytest.mark.parametrize("command", ALL)
def test_a_folder_that_may_not_be_written_to_is_refused_before_any_work(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", no)
    inputs = tmp_path / "none"
    done = World(inputs, inputs, inputs).call(command, tmp_path / "new" / "run.v1")
    assert done.exit_code == 2, done.output
    assert done.stderr == (
        f"error: {tmp_path}: this folder cannot be written to; choose another place\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("command", [name for name in ALL if name != "study"])  # in test_runner
def test_a_link_stays_and_what_it_leads_to_is_written(
    world: World, tmp_path: Path, command: str, exists: bool
) -> None:
    link, target = tmp_path / "run.v1", tmp_path / "other" / "disk.v2"
    link.symlink_to(target)
    if exists:
        target.parent.mkdir()
        _ = target.write_text(json.dumps(EARLIER)) if command in FILES else target.mkdir()
    done = world.call(command, link)
    assert done.exit_code == 0, done.output
    assert link.is_symlink()
    if command in FILES:
        assert json.loads(target.read_text())
    else:
        assert list(target.iterdir())
    own = {"evaluate": {"run.v1.npz"}, "words segment": {"run.v1-features"}}  # what else it writes
    companions = own.get(command, set[str]())
    assert {path.name for path in tmp_path.iterdir()} == {"run.v1", "other", *companions}
    assert os.listdir(target.parent) == ["disk.v2"]


def test_two_names_are_two_results(world: World, tmp_path: Path) -> None:
    names = ("run.v1", "run.v2", "run.v2.1", "0.5", "b.json")
    for name in names:
        assert world.call("evaluate", tmp_path / name).exit_code == 0
    sums = {f"{name.removesuffix('.json')}.npz" for name in names}
    assert {path.name for path in tmp_path.iterdir()} == {*names, *sums}


@pytest.mark.parametrize(("first", "second"), [("run", "run.json"), ("run.json", "run")])
def test_two_names_with_one_name_of_sums_are_refused(
    world: World, tmp_path: Path, first: str, second: str
) -> None:
    assert world.call("evaluate", tmp_path / first).exit_code == 0
    assert world.call("evaluate", tmp_path / first).exit_code == 0  # once more is no other result
    before = state(tmp_path)
    done = world.call("evaluate", tmp_path / second)
    assert done.exit_code == 2
    assert f"run.npz holds the sums of {first}; use another name" in done.stderr
    assert state(tmp_path) == before


def test_what_lies_where_sums_would_go_is_kept(world: World, tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"weights")
    done = world.call("evaluate", tmp_path / "model.json")
    assert done.exit_code == 2
    assert "model.npz: holds no sums of metrics; use another --out" in done.stderr
    assert state(tmp_path).keys() == {"model.npz"}
    assert (tmp_path / "model.npz").read_bytes() == b"weights"


def test_a_list_that_is_no_list_of_checksums_is_kept(tiny_vspw: Path) -> None:
    mine = tiny_vspw / "val.sha256"
    mine.write_text("my notes\n")
    done = CliRunner().invoke(app, ["data", "verify", str(tiny_vspw), "--write-manifest"])
    assert done.exit_code == 3
    assert "move it away and write another with --write-manifest" in done.stderr
    assert mine.read_text() == "my notes\n"
    mine.unlink()
    os.mkfifo(mine)
    assert CliRunner().invoke(app, ["data", "verify", str(tiny_vspw)]).exit_code == 0
    done = CliRunner().invoke(app, ["data", "verify", str(tiny_vspw), "--write-manifest"])
    assert done.exit_code == 2
    assert "val.sha256: is a pipe" in done.stderr
