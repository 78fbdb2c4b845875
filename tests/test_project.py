"""The repository keeps its own promises: one set of versions, clean notebooks, clean files."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sam2vss_lib.errors import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]+\])?==([^\s;]+)")
GROUPS = ("core", "study", "cluster", "dev")


def normal(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(requirements: list[str]) -> dict[str, str]:
    """Versions by normalised name; every requirement must be an exact pin."""
    found: dict[str, str] = {}
    for requirement in requirements:
        match = PIN.match(requirement)
        assert match, f"not an exact pin: {requirement}"
        found[normal(match[1])] = match[2]
    return found


@pytest.fixture(scope="module")
def ranges() -> dict[str, dict[str, SpecifierSet]]:
    """What pyproject.toml allows, by group and normalised name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = {"core": project["dependencies"], **project["optional-dependencies"]}
    assert tuple(lines) == GROUPS
    parsed = {group: [Requirement(line) for line in lines[group]] for group in GROUPS}
    return {group: {normal(r.name): r.specifier for r in parsed[group]} for group in GROUPS}


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return pins([line for line in lock.splitlines() if line[:1] not in ("", "#", " ")])


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files git knows, or would add: a new file is checked before its first commit."""
    result = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in result.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_environment_has_the_locked_versions(
    ranges: dict[str, dict[str, SpecifierSet]], locked: dict[str, str]
):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    direct = {**ranges["core"], **ranges["study"], **ranges["dev"]}
    assert pins(pip) == {name: locked[name] for name in direct}


@pytest.mark.parametrize("group", GROUPS)
def test_locked_versions_lie_within_the_projects_ranges(
    group: str, ranges: dict[str, dict[str, SpecifierSet]], locked: dict[str, str]
):
    outside = [
        f"{name}=={locked.get(name)} not {allowed}"
        for name, allowed in ranges[group].items()
        if name not in locked or locked[name] not in allowed
    ]
    assert outside == []


def test_libraries_are_not_pinned_to_one_version(ranges: dict[str, dict[str, SpecifierSet]]):
    """Each says from which version on it works, and none allows that version alone."""
    for allowed in (*ranges["core"].values(), *ranges["study"].values()):
        operators = {clause.operator for clause in allowed}
        assert ">=" in operators
        assert operators <= {">=", "<", "!="}


def test_what_is_imported_is_declared_where_it_is_needed(
    ranges: dict[str, dict[str, SpecifierSet]],
):
    sources = (ROOT / "sam2vss_lib").rglob("*.py")
    nodes = [n for path in sources for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    imported = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    packages = {name.partition(".")[0] for name in imported}
    packages -= {*sys.stdlib_module_names, "sam2vss_lib"}
    brought_by = packages_distributions()
    undeclared = [
        package
        for package in packages
        if not {normal(name) for name in brought_by[package]}
        & ranges[EXTRAS.get(package, "core")].keys()
    ]
    assert undeclared == []
    assert EXTRAS.keys() <= packages | {"tabulate"}  # which pandas imports for Markdown


def test_every_locked_package_has_hashes():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[^\s#])", "\n" + lock)[1:]
    assert len(blocks) > 100
    unhashed = [block.split()[0] for block in blocks if "--hash=sha256:" not in block]
    assert unhashed == []


def test_supported_pythons_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    environment = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "python=3.11" in environment
    assert "(3, 11)" in (ROOT / "Makefile").read_text(encoding="utf-8")


def remains(notebook: dict[str, object]) -> list[str]:
    """What execution left in a notebook: cells with outputs or counts."""
    cells = notebook["cells"]
    assert isinstance(cells, list)
    return [
        f"cell {number}"
        for number, cell in enumerate(cells)
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"] is not None)
    ]


def test_notebooks_are_stripped():
    found = {
        path.name: left
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        if (left := remains(json.loads(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(("outputs", "count"), [([{"output_type": "stream"}], None), ([], 3)])
def test_an_executed_notebook_would_be_noticed(outputs: list[object], count: int | None):
    code = {"cell_type": "code", "outputs": outputs, "execution_count": count}
    clean = {"cell_type": "code", "outputs": [], "execution_count": None}
    text = {"cell_type": "markdown"}
    assert remains({"cells": [text, clean, code]}) == ["cell 2"]


# Neither pattern, as written here, matches itself.
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(?:root|home|work|tmp|opt|Users)/\w")
REGISTRY = re.compile(
    r"pypi\.org|\.pythonhosted\.org|registry\.npmjs\.org"
    r"|--(?:extra-)?index-url|--find[-]links|file:[/]{3}"
)


@pytest.mark.parametrize(
    "line",
    [
        "see /ro~ot/x",
        '"/wo~rk/a"',
        "=/ho~me/me",
        "--extra-index~-url x",
        "https://py~pi.org/simple",
    ],
)
def test_a_machine_path_or_registry_would_be_noticed(line: str):
    line = line.replace("~", "")
    assert MACHINE_PATH.search(line) or REGISTRY.search(line)


@pytest.mark.parametrize("line", ["#!/usr/bin/env bash", "docs/home/a", "https://a.org/work/b"])
def test_other_paths_pass(line: str):
    assert not MACHINE_PATH.search(line)
    assert not REGISTRY.search(line)


def test_no_file_names_a_machine_path_or_a_registry(tracked: list[Path]):
    found: list[str] = []
    for path in tracked:
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_ci_runs_the_readmes_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = {
        line.split("#")[0].strip()
        for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", readme, flags=re.DOTALL)
        for line in block.splitlines()
    }
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    for command in ("make test", "make study"):
        assert command in commands
        assert command in ci
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_makefile_has_the_promised_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert {"study", "test", "lab", "lint", "clean", "lock", "train-demo"} <= targets


def test_citation_names_the_paper_and_its_authors():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["title"], citation["type"]) == ("sam2vss", "software")
    (paper,) = citation["references"]
    assert paper["title"] == "Evaluating SAM2 for Video Semantic Segmentation"
    assert len(paper["authors"]) == 7
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"] == "Apache-2.0"
