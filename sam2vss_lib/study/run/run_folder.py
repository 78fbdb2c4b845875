"""A notebook's results folder holds one run, whole: its results, or how it failed."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sam2vss_lib.storage.files import write_json

EXECUTED = "executed.ipynb"
FAILED = "failed.ipynb"
STATUS = "status.json"
EARLIER = "earlier"


@contextmanager
def working_folder(folder: Path) -> Generator[Path]:
    """Yield an empty folder beside `folder` for a run to write into; it is gone afterwards."""
    working = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    working.mkdir(parents=True)
    try:
        yield working
    finally:
        shutil.rmtree(working, ignore_errors=True)


def keep_results(folder: Path, working: Path) -> None:
    """Put the results in `working` in the place of everything in `folder`."""
    with working_folder(folder) as bin_:
        if folder.exists():
            folder.rename(bin_ / "old")
        working.rename(folder)


def keep_failure(folder: Path, working: Path, reason: str) -> None:
    """Leave `failed.ipynb` and `status.json` in `folder`, and earlier results apart from them.

    Results of the last run that succeeded move to `earlier/`, where nobody takes them for this
    run's. Of what the run has written only the executed notebook is kept.
    """
    with working_folder(folder) as fresh:
        (working / EXECUTED).replace(fresh / FAILED)
        earlier = folder / EARLIER if (folder / FAILED).is_file() else folder
        if earlier.is_dir():
            earlier.rename(fresh / EARLIER)
        kept = EARLIER if (fresh / EARLIER).is_dir() else None
        write_json(fresh / STATUS, {"status": "failed", "error": reason, "earlier_results": kept})
        keep_results(folder, fresh)
