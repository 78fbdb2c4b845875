"""Result files: tables to compute with, tables to read, figures in two formats."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sam2vss_lib.study.results import ResultFolder
from sam2vss_lib.study.tables import gains_table, table_frame, values_table
from tests.study.rows import rows


def folder(root: Path) -> ResultFolder:
    study: Any = SimpleNamespace(settings=SimpleNamespace(out_dir=str(root)))
    return ResultFolder(study)


def test_tables_in_three_formats_hold_the_same_numbers(tmp_path: Path):
    table = rows()
    readable = {"Table 1": values_table(table), "Gains": gains_table(table)}
    folder(tmp_path).write_table(table_frame(table), readable, "Percent on 4 clips.")
    value = pd.read_csv(tmp_path / "table.csv")["mIoU"][0]
    markdown = (tmp_path / "table.md").read_text()
    latex = (tmp_path / "table.tex").read_text()
    assert f"{value:.2f}" in markdown
    assert f"{value:.2f}" in latex
    assert markdown.startswith("Percent on 4 clips.")
    assert "## Gains" in markdown
    assert latex.count(r"\begin{table}") == 2
    assert "mIoU ours" in markdown
    assert "29.3" in markdown  # the paper's SAM2-CFFM MiT-B1


def test_latex_escapes_what_it_must(tmp_path: Path):
    frame = pd.DataFrame({("", "Method"): ["a_b & c"], ("m", "ours"): ["1 %"]})
    folder(tmp_path).write_table(pd.DataFrame({"x": [1]}), {"T": frame}, "Caption.")
    assert r"a\_b \& c" in (tmp_path / "table.tex").read_text()


def test_figures_are_vector_and_png(tmp_path: Path):
    folder(tmp_path).write_figure("3", Figure(figsize=(1, 1)))
    assert (tmp_path / "fig_3.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "fig_3.svg").read_text()
