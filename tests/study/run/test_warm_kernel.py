"""What kernels are forked with is there to be imported."""

from importlib.util import find_spec

import pytest

from sam2vss_lib.study.run.warm_kernel import IMPORTED


@pytest.mark.parametrize("module", IMPORTED)
def test_what_is_imported_beforehand_is_there(module: str) -> None:
    assert find_spec(module) is not None
