"""A notebook's results folder holds one run, whole: its results, or how it failed."""

import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from uuid import uuid4

from sam2vss_lib.storage.files import write_json

EXECUTED = "executed.ipynb"
FAILED = "failed.ipynb"
STATUS = "status.json"
EARLIER = "earlier"
#: what runs write there; whatever else is there is somebody's own, and stays
_OURS = (
    EXECUTED, FAILED, STATUS, EARLIER,
    "result.json", "provenance.json", "table.csv", "table.md", "table.tex", "fig_*.[ps][nv]g",
)  # fmt: skip


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
    """Put the results in `working` in the place of those in `folder`, beside what is not theirs."""
    for old in (folder / EARLIER, folder):
        for name in _strangers("", (path.name for path in old.iterdir()) if old.is_dir() else ()):
            if (old / name).is_dir() and not (old / name).is_symlink():
                shutil.copytree(old / name, working / name, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(old / name, working / name, follow_symlinks=False)
    with working_folder(folder) as bin_:
        if folder.exists():
            folder.rename(bin_ / "old")
        try:
            working.rename(folder)
        except BaseException:
            if (bin_ / "old").exists():
                (bin_ / "old").rename(folder)
            raise


def _strangers(_folder: str, names: Iterable[str]) -> list[str]:
    """Those of the names in a results folder that no run writes; also as copytree's `ignore`."""
    return [name for name in names if not any(fnmatch(name, ours) for ours in _OURS)]


def keep_failure(folder: Path, working: Path, reason: str) -> None:
    """Leave `failed.ipynb` and `status.json` in `folder`, and earlier results apart from them.

    Results of the last run that succeeded move to `earlier/`, where nobody takes them for this
    run's. Of what the run has written only the executed notebook is kept.
    """
    with working_folder(folder) as fresh:
        (working / EXECUTED).replace(fresh / FAILED)
        earlier = folder / EARLIER if (folder / FAILED).is_file() else folder
        if earlier.is_dir():
            shutil.copytree(earlier, fresh / EARLIER, ignore=_strangers)
        kept = EARLIER if (fresh / EARLIER).is_dir() else None
        write_json(fresh / STATUS, {"status": "failed", "error": reason, "earlier_results": kept})
        keep_results(folder, fresh)
