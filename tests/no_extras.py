"""`hide()` makes the packages of all extras look as if they were not installed."""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from sam2vss_lib.errors import EXTRAS

# torch brings jinja2 along, and tqdm looks for the others
_HIDDEN = {*EXTRAS, "IPython", "ipykernel", "ipywidgets"} - {"jinja2"}


class _WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        hidden = fullname.partition(".")[0] in _HIDDEN
        return None if hidden else PathFinder.find_spec(fullname, path, target)


# A function, since pytest imports every module here in search of doctests.
def hide() -> None:
    sys.meta_path[sys.meta_path.index(PathFinder)] = _WithoutExtras
