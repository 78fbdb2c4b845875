"""The package without its extras: what runs, and what a command says that needs one."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.errors import MissingExtra, naming_extras

ROOT = Path(__file__).resolve().parents[1]

# Everything but what only the notebooks, the report and the plan of a study import.
IMPORT_CORE = """
import pkgutil
from importlib import import_module
from tests.no_extras import hide
hide()
import sam2vss_lib
study = ("analyses", "estimate", "paper", "report", "results", "run")
names = [m.name for m in pkgutil.walk_packages(sam2vss_lib.__path__, "sam2vss_lib.")]
apart = ("sam2vss_lib.widgets", *(f"sam2vss_lib.study.{s}" for s in study))
core = [n for n in names if not n.startswith(apart)]
for name in [*core, "sam2vss_lib.study.run.doctor"]:
    if not name.endswith("__main__"):
        import_module(name)
print(len(core))
"""


def test_the_core_imports_without_any_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_CORE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_a_missing_package_of_an_extra_is_named_with_the_fix(
    tiny_vspw: Path, perfect_predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    files = [f"--predictions={perfect_predictions}", f"--out={tiny_vspw / 'm.json'}"]
    options = [f"--dataset={tiny_vspw}", "--label-offset=1", "--workers=1"]
    result = CliRunner().invoke(app, ["evaluate", *files, *options])
    assert result.exit_code == 2
    assert result.stderr == (
        'error: ray is not installed, which this command needs; pip install "sam2vss[cluster]"\n'
    )


def test_a_part_of_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r'pip install "sam2vss\[study\]"'), naming_extras():
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib.figure")


def test_other_missing_modules_are_left_alone() -> None:
    with pytest.raises(ModuleNotFoundError, match="absent"), naming_extras():
        raise ModuleNotFoundError("No module named 'absent'", name="absent")
