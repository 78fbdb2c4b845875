"""The names that can be imported from `sam2vss_lib` itself."""

import subprocess
import sys

import pytest

import sam2vss_lib
from sam2vss_lib.refinement.refine import refine


def test_every_name_of_the_surface_can_be_had() -> None:
    for name in sam2vss_lib.__all__:
        assert getattr(sam2vss_lib, name).__name__ == name
        assert name in dir(sam2vss_lib)
    assert sam2vss_lib.refine is refine


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'refin'"):
        sam2vss_lib.refin  # type: ignore[attr-defined] # noqa: B018
    with pytest.raises(ImportError):
        from sam2vss_lib import pool  # type: ignore[attr-defined] # noqa: F401


def test_import_waits_for_nothing_heavy() -> None:
    code = "import sys, sam2vss_lib; print({'torch', 'sam2', 'pandas'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
