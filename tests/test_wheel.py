"""The wheel: it holds everything the commands read, and works where there is no checkout."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
OFFLINE = ["--no-deps", "--no-index"]
# What is looked for beside the package's own code, and how much of it there is in the checkout.
CARRIED = {
    "data_manifests": "sam2vss_lib/data_manifests",
    "notebooks": "sam2vss_lib/notebooks",
    "sam2vss_lib": "sam2vss_lib",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout, built by the installed hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", "--no-build-isolation", *OFFLINE, f"--wheel-dir={folder}", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_the_commands_read(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *CARRIED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    wanted = {
        CARRIED[name.partition("/")[0]] + "/" + name.partition("/")[2]
        for name in tracked.stdout.split("\0")
        if name and (ROOT / name).is_file()
    }
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted
    for name in (
        "apply/page.html",
        "data_manifests/checkpoints.yaml",
        "data_manifests/paper_tables.csv",
        "data_manifests/splits/vipseg_val.txt",
        "masklets/demo/sam2_micro.safetensors",
        "masklets/demo/sam2_micro.yaml",
        "notebooks/10_paper_checks.ipynb",
        "py.typed",
        "segmentors/demo/tv3s_mini.json",
        "study/profiles/vspw.yaml",
        "study/report/templates/report.html.j2",
        "study/report/templates/style.css",
    ):
        assert f"sam2vss_lib/{name}" in held


class Installed:
    """The wheel in a bare environment, which sees the packages of the running one behind it.

    No checkout can be reached from it: `.pth` files behind a `.pth` file are not read, so that an
    editable installation in the running environment is not.

    Args:
        wheel: to be installed.
        root: gets the environment and an empty folder to work in.
    """

    def __init__(self, wheel: Path, root: Path) -> None:
        self.bin, self.here = root / "env" / "bin", root / "elsewhere"
        self.here.mkdir()
        venv.create(root / "env", symlinks=True)
        to = ["--python", str(self.bin / "python"), "install", *OFFLINE, str(wheel)]
        subprocess.run([*PIP, *to], check=True, capture_output=True)
        (self.site,) = (root / "env").glob("lib/python*/site-packages")
        behind = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (self.site / "behind.pth").write_text("\n".join(behind))

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the empty folder."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SAM2VSS"))}
        command = [str(self.bin / program), *arguments]
        return subprocess.run(
            command, cwd=self.here, env=keep, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.mark.slow
@pytest.mark.timeout(900)  # a dozen commands, each of which imports torch
def test_the_package_runs_without_a_checkout(
    installed: Installed, tiny_vspw: Path, perfect_predictions: Path
) -> None:
    code = (
        "import json, sam2vss_lib; from sam2vss_lib.storage import places as p;"
        "print(json.dumps([sam2vss_lib.__file__, p.CHECKOUT, str(p.PROJECT), str(p.NOTEBOOKS)]))"
    )
    module, checkout, project, notebooks = json.loads(installed.run("python", "-c", code).stdout)
    package = installed.site / "sam2vss_lib"
    assert (Path(module), checkout) == (package / "__init__.py", None)
    assert (Path(project), Path(notebooks)) == (installed.here, package / "notebooks")

    # first with the core's packages alone, then with all of them
    hider = installed.site / "sitecustomize.py"
    no_extras = (ROOT / "tests" / "no_extras.py").read_text(encoding="utf-8")
    hider.write_text(f"{no_extras}\n\nhide()\n", encoding="utf-8")
    data = [f"--dataset={tiny_vspw}", "--device=cpu"]
    base = [f"--predictions={perfect_predictions}", "--label-offset=1"]
    small = ["--checkpoint=demo", "--points-per-side=2"]
    for command in (
        ["doctor"],
        ["masklets", *data, *small, "--out=masklets"],
        ["refine", *data, *base, "--masklets=masklets", "--out=refined"],
        ["evaluate", *data, "--predictions=refined", "--label-offset=1", "--out=metrics.json"],
        ["segment", "--dataset=demo", "--max-clips=1", "--model=segformer-micro", "--out=base"],
        ["apply", str(tiny_vspw), *base, *data[1:], *small, "--out=applied"],
        ["data", "verify", str(tiny_vspw)],
        ["checkpoints", "list"],
        ["predictions", "formats"],
    ):
        done = installed.run("sam2vss", *command)
        assert done.returncode == 0, done.stderr
    assert (installed.here / "applied" / "index.html").stat().st_size > 10_000
    metrics = json.loads((installed.here / "metrics.json").read_text())
    assert metrics["metrics"]["mIoU"] > 50
    assert metrics["provenance"]["commit"] is None
    for command in (["study", "--only=10"], ["report", "results/demo"], ["plan"]):
        done = installed.run("sam2vss", *command)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert 'pip install "sam2vss[study]"' in done.stderr
    hider.unlink()

    done = installed.run("sam2vss", "study", "--only=10")
    assert done.returncode == 0, done.stderr
    results = installed.here / "results" / "demo"
    assert (results / "report.html").stat().st_size > 10_000
    ours = json.loads((results / "10_paper_checks" / "provenance.json").read_text())
    assert ours["commit"] is None
