"""The floors of the house: what `make lint` allows a room to import."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package that a test may spoil."""
    shutil.copytree(
        ROOT / "sam2vss_lib",
        tmp_path / "sam2vss_lib",
        ignore=shutil.ignore_patterns("*.safetensors"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold() -> None:
    done = _lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("metrics/iou.py", "sam2vss_lib.datasets.clips", "Rooms import only"),
        ("masklets/store.py", "sam2vss_lib.study.paper", "Rooms import only"),
        ("study/results/schema.py", "sam2vss_lib.study.report", "The study's rooms"),
        ("refinement/registry.py", "sam2vss_lib.refinement.window", "No two modules or rooms"),
        ("isam2/classifiers/settings.py", "torch", "Settings load without"),
        ("metrics/iou.py", "pandas", "What computes"),
    ],
)
def test_an_import_against_the_floors_is_refused(
    house: Path, module: str, imported: str, contract: str
) -> None:
    path = house / "sam2vss_lib" / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\nimport {imported}\n", encoding="utf-8")
    done = _lint_imports(house)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), done.stdout


def test_settings_load_nothing_that_computes() -> None:
    heavy = ("torch", "torchvision", "transformers", "sam2", "pandas", "matplotlib")
    code = (
        "import sys, sam2vss_lib.study.settings;"
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_no_room_is_too_large_to_be_seen_at_once() -> None:
    folders = Counter(path.parent for path in (ROOT / "sam2vss_lib").rglob("*.py"))
    assert {str(folder): count for folder, count in folders.items() if count > 15} == {}
