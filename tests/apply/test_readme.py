"""A newcomer's path: what README.md tells to type first is typed, and what it says is there."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from sam2vss_lib.cli import app

README = Path(__file__).resolve().parents[2] / "README.md"


def commands() -> list[list[str]]:
    """The arguments of every `sam2vss apply` in a block of README.md."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words[:2] == ["sam2vss", "apply"]]


def test_its_options_are_there() -> None:
    known = {
        name
        for option in typer.main.get_command(app).commands["apply"].params  # type: ignore[attr-defined]
        for name in option.opts
    }
    assert len(commands()) >= 2
    for words in commands():
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.slow
def test_the_first_command_ends_with_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = commands()[0]
    done = CliRunner().invoke(app, first)
    assert done.exit_code == 0, done.output
    page = Path(first[first.index("--out") + 1]) / "index.html"
    assert f"`{page}`" in README.read_text(encoding="utf-8")
    assert done.stdout.strip().endswith(f"see {page}")
    assert "mIoU" in page.read_text(encoding="utf-8")
    films = sorted(path.name for path in (page.parent / "films").glob("*/*.*4"))
    assert films == ["changes.mp4", "masklets.mp4"]
