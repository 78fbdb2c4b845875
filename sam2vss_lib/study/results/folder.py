"""What a notebook leaves behind: result, table, figures and provenance, each written whole."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.metrics import PROTOCOL
from sam2vss_lib.storage.files import atomic_path, write_json, write_text
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.results.schema import FORMAT_VERSION, ResultFigure, parse_result
from sam2vss_lib.study.results.text import escape, latex_table
from sam2vss_lib.study.stages.context import PaperStudy, StudyContext


class ResultFolder:
    """The results folder of a notebook; the settings of its study say where it is.

    Raises:
        SettingsError: it holds a run of `sam2vss study`, which a notebook that somebody explores
            must not overwrite. (The study itself hands its notebooks an empty folder.)
    """

    def __init__(self, study: StudyContext | PaperStudy) -> None:
        self._study = study
        self._figures: list[ResultFigure] = []
        self.root = PROJECT / study.settings.out_dir
        if all((self.root / name).is_file() for name in ("executed.ipynb", "provenance.json")):
            raise SettingsError(
                f"out_dir {study.settings.out_dir}: holds results of `sam2vss study`; "
                "give another folder, such as results/explore"
            )

    def write_result(self, values: dict[str, Any]) -> Path:
        """Write `result.json`: the notebook's values with its settings and figure captions.

        Raises:
            DataError: the values do not follow `schema.Result`, so the report could not show them.
        """
        path = self.root / "result.json"
        written = {
            "format_version": FORMAT_VERSION,
            "settings": self._study.settings.identity(),
            "figures": [figure.model_dump() for figure in self._figures],
            **values,
        }
        parse_result(written, "result.json")
        write_json(path, written)
        return path

    def write_table(
        self, frame: pd.DataFrame, readable: Mapping[str, pd.DataFrame], caption: str
    ) -> None:
        """Write `table.csv` (`frame`, everything), `table.md` and `table.tex` (to read).

        The readable tables of text go by what they show, which follows the caption; two-level
        column names are joined.
        """
        write_text(self.root / "table.csv", frame.to_csv(index=False))
        markdown, latex = [f"{caption}\n"], list[str]()
        for name, table in readable.items():
            names = [(c,) if isinstance(c, str) else c for c in table.columns]
            flat = table.set_axis([" ".join(filter(None, parts)) for parts in names], axis=1)
            markdown.append(f"## {name}\n\n{flat.to_markdown(index=False)}\n")
            label = name.lower().replace(" ", "-")
            latex.append(latex_table(table, escape(f"{caption} {name}."), label))
        write_text(self.root / "table.md", "\n".join(markdown))
        write_text(self.root / "table.tex", "\n".join(latex))

    def write_figure(self, name: str, figure: Figure, caption: str = "", alt: str = "") -> None:
        """Write `fig_<name>.png` and `.svg`; to be called before `write_result`."""
        self._figures.append(ResultFigure(name=name, caption=caption, alt=alt))
        for suffix, metadata in ((".png", None), (".svg", {"Date": None})):
            path = self.root / f"fig_{name}{suffix}"
            # neither the date nor random names inside: the same figure is the same file
            with atomic_path(path) as temporary, matplotlib.rc_context({"svg.hashsalt": name}):
                figure.savefig(temporary, dpi=150, bbox_inches="tight", metadata=metadata)

    def write_provenance(self) -> dict[str, Any]:
        """Write `provenance.json`: inputs, versions, protocol, and which stages were reused."""
        written = {
            "format_version": FORMAT_VERSION,
            **self._study.provenance().model_dump(mode="json"),
            "metric_definitions": PROTOCOL.headline,
            "settings": self._study.settings.identity(),
            "stages": [asdict(run) for run in self._study.log],
        }
        write_json(self.root / "provenance.json", written)
        return written
