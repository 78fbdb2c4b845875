"""Fixtures of the fault campaign."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.storage.files import read_json, write_json
from tests.faults.campaign import World, end_runs, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Clips, and every stage on them undisturbed."""
    return make_world(tmp_path_factory.mktemp("faults"))


@pytest.fixture(autouse=True)
def _no_run_is_left() -> Iterator[None]:
    yield
    end_runs()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Print a test's figures, and add them to the JSON file at $SAM2VSS_FAULT_REPORT."""

    def add(**figures: Any) -> None:
        name = request.node.name
        print(f"{name}: {figures}")
        if path := os.environ.get("SAM2VSS_FAULT_REPORT"):
            file = Path(path)
            known = read_json(file) if file.is_file() else {}
            write_json(file, {**known, name: figures})

    return add
