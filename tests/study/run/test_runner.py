"""The runner refuses what papermill would accept silently, before anything is started."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest

from sam2vss_lib.errors import DataError, RunError, SettingsError
from sam2vss_lib.study.run.runner import (
    check_base_systems,
    find_notebooks,
    notebook_parameters,
    plan_notebook,
    run_notebook,
)


def write_notebook(path: Path, *cells: tuple[str, list[str]]) -> Path:
    notebook = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    for source, tags in cells:
        notebook.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize("notebook", find_notebooks(), ids=lambda path: path.stem)
def test_every_notebooks_parameters_are_settings(notebook: Path, tmp_path: Path):
    """Planning validates them, whichever settings a notebook has."""
    plan = plan_notebook(notebook, "demo", tmp_path, {})
    assert plan.keys() <= notebook_parameters(notebook).keys()
    assert Path(plan["out_dir"]).name == notebook.stem


def test_plan_lays_profile_and_overrides_over_the_notebook(tmp_path: Path):
    (notebook,) = find_notebooks("01")
    plan = plan_notebook(notebook, "demo", tmp_path, {"window": 8})
    assert plan["window"] == 8
    assert plan["votes"] == ["frame", "masklet"]
    assert plan["out_dir"] == str(tmp_path / "demo" / "01_main_results")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"windwo": 8}, r"no parameter 'windwo'; its parameters are: profile"),
        ({"window": "8"}, "'window'"),
        ({"window": -1}, "'window'"),
    ],
)
def test_plan_refuses_wrong_names_and_types(tmp_path: Path, overrides: dict[str, Any], words: str):
    (notebook,) = find_notebooks("01")
    with pytest.raises(SettingsError, match=words):
        plan_notebook(notebook, "demo", tmp_path, overrides)
    assert not list(tmp_path.iterdir())


def test_unknown_number_lists_the_notebooks():
    with pytest.raises(SettingsError, match=r"--only 77: no such notebook; there are .*01"):
        find_notebooks("1,77")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([("a = 1", [])], "0 cells tagged parameters"),
        ([("a = 1", ["parameters"]), ("b = 1", ["parameters"])], "2 cells tagged parameters"),
        ([("a = list()", ["parameters"])], "more than assignments"),
        ([("import os", ["parameters"])], "more than assignments"),
    ],
)
def test_parameters_must_be_one_cell_of_literals(
    tmp_path: Path, cells: list[tuple[str, list[str]]], words: str
):
    notebook = write_notebook(tmp_path / "n.ipynb", *cells)
    with pytest.raises(DataError, match=words):
        notebook_parameters(notebook)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (
            "from sam2vss_lib.errors import DataError\nraise DataError('x.png: missing; get it')",
            DataError,
            "x.png: missing; get it",
        ),
        ("1 / 0", RunError, "ZeroDivisionError: division by zero"),
    ],
)
def test_failing_notebook_gives_its_error_and_no_result(
    tmp_path: Path, source: str, error: type[Exception], words: str
):
    notebook = write_notebook(tmp_path / "n.ipynb", ("a = 1", ["parameters"]), (source, []))
    out = tmp_path / "out"
    with pytest.raises(error, match=words) as caught:
        run_notebook(notebook, {"out_dir": str(out)})
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in out.iterdir()) == ["failed.ipynb", "status.json"]
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    status = json.loads((out / "status.json").read_text())
    assert (status["status"], status["earlier_results"]) == ("failed", None)
    assert status["error"] in str(caught.value)


WRITES = "from pathlib import Path\nPath(out_dir, 'result.json').write_text(str(number))\nout_dir"


def run_number(folder: Path, number: int, then: str = "") -> Path:
    """Run a notebook that writes `number` as its result, then does something else."""
    cells = ('out_dir = "out"\nnumber = 0', ["parameters"]), (WRITES, []), (then, [])
    notebook = write_notebook(folder / "n.ipynb", *cells)
    return run_notebook(notebook, {"out_dir": str(folder / "out"), "number": number})


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_results_are_of_one_run_only(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "fig_old.png").touch()
    executed = run_number(tmp_path, 1)
    assert sorted(contents(out)) == ["executed.ipynb", "result.json"]
    assert executed == out / "executed.ipynb"
    assert f'out_dir = \\"{out}\\"' in executed.read_text()
    assert f"{tmp_path}/." not in executed.read_text()
    first = contents(out)

    for number in (2, 3):  # a second failure keeps what the first has kept
        with pytest.raises(RunError, match="division by zero"):
            run_number(tmp_path, number, "1 / 0")
        found = contents(out)
        earlier = {name.removeprefix("earlier/"): t for name, t in found.items() if "/" in name}
        assert earlier == first
        assert found.keys() - {f"earlier/{n}" for n in first} == {"failed.ipynb", "status.json"}
        assert json.loads(found["status.json"])["earlier_results"] == "earlier"
        assert f"number = {number}" in found["failed.ipynb"]

    run_number(tmp_path, 4)
    assert sorted(contents(out)) == ["executed.ipynb", "result.json"]
    assert contents(out)["result.json"] == "4"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.ipynb", "out"]


def test_what_no_run_has_written_stays_in_a_results_folder(tmp_path: Path):
    out, mine = tmp_path / "out", {"notes.md": "mine", "extra/a.csv": "1", "table.xlsx": "x"}
    run_number(tmp_path, 1)
    (out / "extra").mkdir()
    for name, text in mine.items():
        (out / name).write_text(text)
    for then in ("", "1 / 0", "1 / 0", ""):
        with suppress(RunError):
            run_number(tmp_path, 2, then)
        found = contents(out)
        assert {name: found.get(name) for name in mine} == mine
        assert not [name for name in found if name.startswith("earlier/") and name[8:] in mine]
    assert found.keys() == {*mine, "executed.ipynb", "result.json"}
    (out / "earlier").mkdir()
    (out / "earlier" / "more.md").write_text("mine")
    run_number(tmp_path, 3)
    assert contents(out)["more.md"] == "mine"


def test_a_linked_results_folder_stays_and_a_file_in_its_place_is_refused(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    for then in ("", "1 / 0", ""):
        with suppress(RunError):
            run_number(tmp_path, 1, then)
        assert (tmp_path / "out").is_symlink()
    assert sorted(contents(tmp_path / "disk")) == ["executed.ipynb", "result.json"]
    (tmp_path / "out").unlink()
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SettingsError, match=r"/out: is a file, where a folder is wanted"):
        run_number(tmp_path, 1)
    assert (tmp_path / "out").read_text() == "mine"


def test_results_that_cannot_be_put_in_place_leave_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run_number(tmp_path, 1)
    before, rename = contents(tmp_path / "out"), Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target.name == "out" and path.name != "old":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(KeyboardInterrupt):
        run_number(tmp_path, 2)
    assert contents(tmp_path / "out") == before


def test_interrupted_run_leaves_the_results_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run_number(tmp_path, 1)
    before = contents(tmp_path / "out")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("papermill.execute_notebook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_number(tmp_path, 1)
    assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.ipynb", "out"]


def test_killed_kernel_is_a_failed_run(tmp_path: Path):
    run_number(tmp_path, 1)
    with pytest.raises(RunError, match="n: DeadKernelError: "):
        run_number(tmp_path, 2, "import os\nos._exit(9)")
    assert "failed.ipynb" in contents(tmp_path / "out")
    assert contents(tmp_path / "out")["earlier/result.json"] == "1"


def test_progress_bar_names_the_notebook_and_wants_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bars: list[Any] = []

    def execute(*_: object, progress_bar: object, **__: object) -> None:
        bars.append(progress_bar)

    monkeypatch.setattr("papermill.execute_notebook", execute)
    notebook = write_notebook(tmp_path / "05_n.ipynb", ("a = 1", ["parameters"]))
    for progress in (False, True):
        run_notebook(notebook, {"out_dir": str(tmp_path / "out")}, progress=progress)
    assert bars == [False, {"desc": "05_n", "disable": None}]


def test_notebook_without_a_data_set_takes_of_the_profile_what_it_knows(tmp_path: Path):
    cell = ('profile = "demo"\nout_dir = "results"', ["parameters"])
    notebook = write_notebook(tmp_path / "77_words.ipynb", cell)
    plan = plan_notebook(notebook, "vspw", tmp_path, {})
    assert plan == {"profile": "vspw", "out_dir": str(tmp_path / "vspw" / "77_words")}
    with pytest.raises(SettingsError, match="no parameter 'window'"):
        plan_notebook(notebook, "vspw", tmp_path, {"window": 3})
    cell = (cell[0] + "\nwindow = 3", cell[1])
    with pytest.raises(SettingsError, match="unknown parameter 'window'"):
        plan_notebook(write_notebook(tmp_path / "77_words.ipynb", cell), "demo", tmp_path, {})


def test_a_system_that_the_caller_names_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (notebook,) = find_notebooks("01")
    system = {"method": "X", "backbone": "", "segmentor": "segformer-micro:mine/w.safetensors"}
    monkeypatch.chdir(tmp_path)
    plan = plan_notebook(notebook, "demo", tmp_path / "out", {"base_systems": [system]})
    with pytest.raises(DataError, match=r"^base system X: no weights at .*mine/w.safetensors; "):
        check_base_systems({notebook: plan})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "w.safetensors").touch()
    check_base_systems({notebook: plan})
    weights = tmp_path / "mine" / "w.safetensors"
    assert plan["base_systems"][0]["segmentor"] == f"segformer-micro:{weights}"


def test_braces_in_a_folder_and_a_long_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Papermill fills in braces; the path of a socket may have no more than 107 bytes."""
    long = tmp_path / ("t" * 92)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    notebook = write_notebook(tmp_path / "n.ipynb", ("x = 1", ["parameters"]), ("print(x)", []))
    done = run_notebook(notebook, {"out_dir": str(tmp_path / "st{x}"), "x": 2})
    assert done == tmp_path / "st{x}" / "executed.ipynb"
    assert nbformat.read(done, as_version=4).cells[-1].outputs[0].text == "2\n"


RUN = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background shells ignore it
from sam2vss_lib.study.run.batch import run_notebooks
notebook, out = map(Path, sys.argv[1:])
run_notebooks({notebook: {"out_dir": str(out)}}, 2, print)
"""


def test_a_clean_run_says_nothing_else(tmp_path: Path):
    """Kernels are interrupted before they are shut down, and neither they nor Jupyter say so."""
    cells = ("out_dir = None", ["parameters"]), ("1", [])
    notebook = write_notebook(tmp_path / "05_n.ipynb", *cells)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(notebook), str(tmp_path / "05_n")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("running 05_n.ipynb (1 of 1)\n", "")


def test_ctrl_c_ends_within_seconds_and_leaves_earlier_results(tmp_path: Path):
    started = tmp_path / "started"
    cell = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)"
    notebook = write_notebook(tmp_path / "05_n.ipynb", ("", ["parameters"]), (cell, []))
    out = tmp_path / "results" / "05_n"
    out.mkdir(parents=True)
    (out / "table.csv").write_text("earlier")
    study = subprocess.Popen([sys.executable, "-c", RUN, str(notebook), str(out)])
    while not started.exists():
        assert study.poll() is None
        time.sleep(0.1)
    study.send_signal(signal.SIGINT)
    assert study.wait(timeout=120) != 0  # far from the 600
    assert [path.name for path in out.parent.iterdir()] == ["05_n"]
    assert [path.name for path in out.iterdir()] == ["table.csv"]
