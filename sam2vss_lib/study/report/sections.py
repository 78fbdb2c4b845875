"""Results on disk as sections of a report: what ran, failed or is missing, and every cell."""

import json
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.study.results.schema import Result, ResultFigure, Row, parse_result

State = Literal["run", "failed", "not run", "unreadable"]
CellStatus = Literal[
    "reproduced", "off", "partial", "not comparable", "demo", "no value", "not run", "ours only"
]
_NUMBER = "[0-9][0-9]_*"


@dataclass(frozen=True)
class Figure:
    """A figure of a notebook: its words and its files."""

    words: ResultFigure
    png: Path | None
    svg: Path | None


@dataclass(frozen=True)
class Section:
    """One notebook of a results folder."""

    name: str  # of its folder, such as 01_main_results
    title: str
    question: str  # what it asks
    state: State  # whether there are results
    reason: str = ""  # why there are none
    result: Result = field(default_factory=Result)  # contents of `result.json` where there are
    provenance: dict[str, Any] = field(default_factory=dict)  # contents of `provenance.json`
    figures: tuple[Figure, ...] = ()  # in the order in which the notebook wrote them
    files: tuple[Path, ...] = ()


def read_sections(results_dir: Path, notebooks: list[Path]) -> list[Section]:
    """All notebooks in `results/<profile>`, and those of `notebooks` that have no folder there.

    Raises:
        DataError: there is no such folder, or no notebook's results in it.
    """
    if not results_dir.is_dir():
        raise DataError(f"{results_dir}: no such folder; give one such as results/demo")
    folders = {path.name: path for path in results_dir.glob(_NUMBER) if path.is_dir()}
    # the page and its index replace only those of a study, not of any folder named by a number
    written = ("executed.ipynb", "failed.ipynb", "result.json")
    if not any((folder / name).is_file() for folder in folders.values() for name in written):
        raise DataError(f"{results_dir}: no notebook's results here; give one such as results/demo")
    missing = {path.stem: path for path in notebooks if path.stem not in folders}
    return [
        _section(folders[name]) if name in folders else _not_run(missing[name])
        for name in sorted({*folders, *missing})
    ]


def cell_status(result: Result, row: Row, metric: str) -> CellStatus:
    """What may be said of one of our numbers beside the paper's."""
    ours, paper = row.ours.get(metric), row.paper.get(metric)
    if ours is None:
        return "no value" if row.was_run else "not run"
    if result.demo:
        return "demo"
    if paper is None:
        return "ours only"
    if not result.comparable_with_paper:
        known = result.coverage and result.coverage.paper_clips is not None
        return "partial" if known else "not comparable"
    return "reproduced" if abs(ours - paper) <= result.tolerance_points else "off"


def printed_text(value: float | None) -> str:
    """A number of the paper as printed: one decimal, or more where there are more."""
    if value is None:
        return ""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:g}"


def _section(folder: Path) -> Section:
    """The section of a folder; a failure or an unreadable file is its content."""
    failed, executed = folder / "failed.ipynb", folder / "executed.ipynb"
    title, question = _heading(failed if failed.is_file() else executed, folder.name)
    files = tuple(sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != "."))
    section = partial(Section, folder.name, title, question, files=files)
    if failed.is_file():
        # numbers of an earlier run may lie beside it; they are not this run's
        return section("failed", f"{_failure(failed)} (see {folder.name}/failed.ipynb)")
    if not (folder / "result.json").is_file():
        return section("not run", "the folder holds no result.json")
    try:
        result = parse_result(read_json(folder / "result.json"), f"{folder.name}/result.json")
        provenance: dict[str, Any] = read_json(folder / "provenance.json")
    except DataError as error:
        return section("unreadable", str(error))
    return section("run", result=result, provenance=provenance, figures=_figures(folder, result))


def _not_run(notebook: Path) -> Section:
    title, question = _heading(notebook, notebook.stem)
    return Section(notebook.stem, title, question, "not run", "this profile's run left it out")


def _figures(folder: Path, result: Result) -> tuple[Figure, ...]:
    """Figures with words first, in their order, then those without."""
    words = {figure.name: figure for figure in result.figures}
    names = sorted(path.stem.removeprefix("fig_") for path in folder.glob("fig_*.*g"))
    found: list[Figure] = []
    for name in dict.fromkeys([*words, *names]):
        png, svg = (folder / f"fig_{name}{suffix}" for suffix in (".png", ".svg"))
        if png.is_file() or svg.is_file():
            said = words.get(name, ResultFigure(name=name))
            existing = (path if path.is_file() else None for path in (png, svg))
            found.append(Figure(said, *existing))
    return tuple(found)


def _cells(notebook: Path) -> list[dict[str, Any]]:
    """Cells of a notebook; none where it cannot be read."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _heading(notebook: Path, name: str) -> tuple[str, str]:
    """First heading of a notebook, and its paragraph that starts with "Question"."""
    text = "".join(next(iter(_cells(notebook)), {}).get("source", ""))
    title = re.search(r"^# (.*)", text, re.MULTILINE)
    question = re.search(r"^\*\*Question\.\*\*(.*)", text, re.MULTILINE)
    return title[1].strip() if title else name, question[1].strip() if question else ""


def _failure(notebook: Path) -> str:
    """The last error in a notebook's outputs."""
    errors = [
        f"{output.get('ename')}: {output.get('evalue')}"
        for cell in _cells(notebook)
        for output in cell.get("outputs", [])
        if output.get("output_type") == "error"
    ]
    return errors[-1].splitlines()[0] if errors else "it stopped without an error message"
