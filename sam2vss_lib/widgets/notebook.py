"""One call for a notebook's cell: a widget where somebody looks at it, else a sheet of pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil

from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.style import note
from sam2vss_lib.study.results.tables import pairs
from sam2vss_lib.study.settings import IndependentSettings
from sam2vss_lib.study.stages import Study
from sam2vss_lib.widgets.data import ExplorerData
from sam2vss_lib.widgets.render import contact_sheet, default_scene

_SESSION = "JPY_SESSION_NAME"  # of the notebook that a kernel of Jupyter's server belongs to


def explorer_data(study: Study, rows: Sequence[Row] = ()) -> ExplorerData:
    """What a study has on disk: base systems to refine, and all masklets of its clips.

    The base systems are those of rows that were run, or without any, all that can be run. Other
    rows are there to compare with, and clips are sorted by what refinement gains.
    """
    settings = study.settings
    ran = {row.label: row for row in rows if row.evaluated is not None}
    systems = [s for s in settings.base_systems if study.why_not(s) is None and not rows]
    bases = {s.label: study.base(s).folder for s in systems}
    bases |= {name: row.run.predictions for name, row in ran.items() if row.reference is None}
    gains: dict[str, dict[str, float]] = {}
    # Table 3's rows are classified masklets, no refinements
    for before, after in pairs(rows) if not isinstance(settings, IndependentSettings) else ():
        if before.label in bases:
            gains.setdefault(before.label, after.run.gains_by_clip(before.run, "mIoU"))
    own = study.masklet_folders([settings.masklets], study.dataset)[settings.masklets]
    folders = sorted(own.parent.iterdir()) if own.parent.is_dir() else []
    return ExplorerData(
        study.dataset,
        study.class_names,
        bases,
        [MaskletStore(folder) for folder in (own, *folders) if folder.is_dir()],
        {name: row.run.predictions for name, row in ran.items() if name not in bases},
        gains,
    )


def explore(study: Study, rows: Sequence[Row] = (), *, live: bool | None = None) -> Any:
    """Look at what refinement does to a study's clips.

    Args:
        study: of the notebook.
        rows: of its table, whose predictions can be compared with; none are needed.
        live: whether to give a widget; by default in a notebook that is open in Jupyter.

    Returns:
        A widget, or where nobody can use one, a figure of its default state.
    """
    data = explorer_data(study, rows)
    if not data.bases or not data.clips:
        return note("no base system was run: nothing to explore")
    if live is None:
        live = is_looked_at()
    if not live:
        return contact_sheet(data, *default_scene(data))
    from sam2vss_lib.widgets.explorer import Explorer

    return Explorer(data)


def is_looked_at() -> bool:
    """Whether the kernel belongs to a notebook that is open, and not to a program that runs it.

    A program that was started from an open notebook hands its variables on to the kernels that it
    starts, so these find the name of that notebook in their parent, too.
    """
    if "__vsc_ipynb_file__" in vars(sys.modules["__main__"]):  # Visual Studio Code
        return True
    name, parent = os.environ.get(_SESSION), psutil.Process().parent()
    with suppress(psutil.Error):
        return name is not None and (parent is None or parent.environ().get(_SESSION) != name)
    return name is not None
