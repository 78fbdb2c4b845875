"""Result files: tables to compute with, tables to read, figures in two formats."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.study.results.folder import ResultFolder, save_table
from sam2vss_lib.study.results.tables import gains_table, table_frame, text_table, values_table
from tests.study.rows import rows


def folder(root: Path) -> ResultFolder:
    study: Any = SimpleNamespace(settings=SimpleNamespace(out_dir=str(root), identity=dict))
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


def test_the_same_figure_is_the_same_file(tmp_path: Path):
    for name in ("a", "b"):
        figure = Figure(figsize=(1, 1))
        figure.subplots().plot([0, 1], marker="o")
        folder(tmp_path / name).write_figure("x", figure)
    for suffix in (".png", ".svg"):
        files = [tmp_path / name / f"fig_x{suffix}" for name in ("a", "b")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_result_keeps_captions_and_refuses_what_the_report_cannot_show(tmp_path: Path):
    results = folder(tmp_path)
    results.write_figure("3", Figure(figsize=(1, 1)), "Strips.", "Four frames.")
    path = results.write_result({"caption": "Percent.", "extra": [1]})
    written = json.loads(path.read_text())
    assert written["figures"] == [{"name": "3", "caption": "Strips.", "alt": "Four frames."}]
    assert written["extra"] == [1]
    with pytest.raises(DataError, match=r"result.json: rows.0.method: Field required"):
        results.write_result({"rows": [{}]})
    assert json.loads(path.read_text()) == written


def a_provenance() -> Any:
    kept = {"commit": "c", "checkpoint_sha256": {"demo": "d"}, "seed": 0}
    return SimpleNamespace(model_dump=lambda mode: kept)


def test_one_call_keeps_what_the_four_writers_would(tmp_path: Path):
    table = rows()
    readable = {"Table 1": values_table(table), "Gains": gains_table(table)}
    values = {"caption": "Percent.", "reading": "old"}
    kept = []
    for name in ("one", "four"):
        results = folder(tmp_path / name)
        results._study.provenance = a_provenance  # type: ignore[method-assign]
        results._study.log = []
        figure = Figure(figsize=(1, 1))
        if name == "one":
            shown = results.keep(
                table_frame(table),
                values,
                readable=readable,
                figures={"a": (figure, "Caption.", "Alt."), "b": figure},
                in_report=["Gains"],
                files={"further": pd.DataFrame({"x": [1]})},
                reading="new",
            )
            assert shown.to_dict()["demo"] == "d"
            assert "table.csv, table.md" in str(shown["files"])
            assert (results.root / "further.csv").read_text() == "x\n1\n"
            (results.root / "further.csv").unlink()
        else:
            results.write_table(table_frame(table), readable, "Percent.")
            results.write_figure("a", figure, "Caption.", "Alt.")
            results.write_figure("b", figure)
            shown = [text_table("Gains", readable["Gains"]).model_dump()]
            results.write_result({**values, "tables": shown, "reading": "new"})
            results.write_provenance()
        kept.append({path.name: path.read_bytes() for path in results.root.iterdir()})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 9


def test_any_table_goes_home_in_one_call(tmp_path: Path):
    table = gains_table(rows())
    written = save_table(table, tmp_path / "gains", "Gains & more")
    assert [path.name for path in written] == ["gains.csv", "gains.md", "gains.tex"]
    csv, markdown, latex = (path.read_text() for path in written)
    assert csv.startswith("Method,Backbone,mIoU ours,mIoU paper")
    assert markdown.startswith("Gains & more\n\n| Method")
    assert r"\caption{Gains \& more}" in latex
    (one,) = save_table(table, tmp_path / "again.tex")
    assert r"\label{tab:again}" in one.read_text()
    with pytest.raises(SettingsError, match=r"x.odt: no kind of table; name it .csv, .md or .tex"):
        save_table(table, tmp_path / "x.odt")
    assert not (tmp_path / "x.odt").exists()
