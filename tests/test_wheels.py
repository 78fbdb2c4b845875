"""`make wheels`: which packages of the lock another machine needs, and that it gets them."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from docs.wheels import ROOT, locked, main, needed

#: what a machine for deep learning has; a small folder is left
THERE = (
    "torch torchvision numpy scipy pyarrow transformers pillow huggingface-hub safetensors psutil "
    "typer requests tqdm pyyaml portalocker typing-extensions packaging av"
)
SOURCE_ONLY = "antlr4-python3-runtime iopath sam2"
SMALL = {
    *("annotated-types", "antlr4-python3-runtime", "hydra-core", "iopath", "omegaconf"),
    *("pycocotools", "pydantic", "pydantic-core", "sam2", "typing-inspection"),
}


def test_the_lock_is_read_for_another_python() -> None:
    """Of the packages that the lock has for some versions alone, those of the one asked for."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    everything = re.findall(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)
    for python in ("3.11", "3.12"):
        lines = locked(python)
        assert 100 < len(lines) <= len(everything)
        for name, line in lines.items():
            assert re.fullmatch(rf"{re.escape(name)}==\S+( --hash=sha256:[0-9a-f]{{64}})+", line)
    assert locked("3.11").keys() != locked("3.12").keys()


def test_beside_a_torch_neither_it_nor_what_it_brings_is_needed() -> None:
    names = needed("3.12", (), ("torch", "torchvision"))
    assert names <= locked("3.12").keys()
    assert names > SMALL
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.split("[>=]", line)[0] for line in project["dependencies"]}
    assert direct - names == {"torch", "torchvision"}
    brought = [n for n in names if n.startswith(("nvidia", "cuda")) or n in ("triton", "sympy")]
    assert brought == []
    assert not names & {"pandas", "matplotlib", "ray", "pytest"}
    study = needed("3.11", ("study",), ("torch", "torchvision"))
    assert study > {*names, "pandas", "matplotlib", "papermill"}


def test_what_is_there_already_is_left_out() -> None:
    assert needed("3.12", (), THERE.split()) == SMALL


def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="EXTRAS: unknown studies; there are all, none, study"):
        main(["--extras", "studies", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        main(["--python", "python3.12"])
    assert "--python python3.12: give a version such as 3.12" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)  # as one that only that version asks for
    with pytest.raises(SystemExit, match=r": not installed here, .*; use EXTRAS=all"):
        needed("3.12", (), ())


@pytest.mark.slow
def test_a_folder_of_wheels_installs_without_a_network(tmp_path: Path) -> None:
    """The small set, for the Python that runs here: from the index into a folder, and from there.

    Its packages fit each other; those beside them are not looked for.
    """
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    options = ("--extras", "none", "--beside", THERE, "--source-only", SOURCE_ONLY)
    assert main([*options, "--out", str(wheels)]) == 0
    found = {path.name.partition("-")[0].replace("_", "-") for path in wheels.iterdir()}
    assert found == {*SMALL, "sam2vss"}
    install = (sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile")
    subprocess.run((*install, "--target", site, *wheels.iterdir()), check=True)
    command = "import sam2, sam2vss_lib.masklets.generate; print(sam2vss_lib.__file__)"
    done = subprocess.run(
        (sys.executable, "-c", command),
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(site))
