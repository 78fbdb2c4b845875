"""Where the project's own files lie: in a checkout beside the package, in a wheel inside it."""

from pathlib import Path

from sam2vss_lib.errors import DataError

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_CHECKOUT = (_PACKAGE.parent / "data_manifests").is_dir()
_HOME = _PACKAGE.parent if _IN_CHECKOUT else _PACKAGE

#: the source checkout; None where the package was installed without one
CHECKOUT = _HOME if _IN_CHECKOUT else None
#: relative paths in profiles and result folders in notebooks lie here, wherever the kernel runs
PROJECT = CHECKOUT or Path.cwd()
#: data sets that have no place: they are generated on first use
GENERATED = ("demo", "demo-b")
MANIFESTS = _HOME / "data_manifests"
NOTEBOOKS = _HOME / "notebooks"


def manifest_path(name: str) -> Path:
    """Path of a file in `data_manifests/`.

    Raises:
        DataError: the file is missing.
    """
    path = MANIFESTS / name
    if not path.is_file():
        raise DataError(f"{path} is missing: this installation of sam2vss is not whole")
    return path
