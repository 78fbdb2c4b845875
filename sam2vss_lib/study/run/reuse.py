"""What a study's notebooks computed and what was there already, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sam2vss_lib.storage.files import read_json


def reuse_table(executed: Mapping[str, Path]) -> str:
    """How many of the clips that each stage of each executed notebook needed were there, as text.

    Returns:
        A table with a line a stage and a column a notebook; a sentence where no stage was run.
    """
    runs = [
        {"notebook": name[:2], **stage}
        for name, path in executed.items()
        for stage in read_json(path.with_name("provenance.json"))["stages"]
    ]
    if not runs:
        return "no stage was run, nothing reused"
    sums = pd.DataFrame(runs).pivot_table(
        ["reused", "clips"], "stage", "notebook", aggfunc="sum", fill_value=0,
        margins=True, margins_name="all", sort=False,
    )  # fmt: skip
    texts = sums["reused"].astype(str) + "/" + sums["clips"].astype(str)
    table = texts.replace("0/0", "")
    table.index.name = table.columns.name = None
    return (
        "clips reused / needed, by stage and notebook (what was computed for several notebooks "
        f"before they ran counts as reused in each):\n{table.to_string()}"
    )
