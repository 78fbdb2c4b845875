"""What a notebook leaves behind: result, table, figures and provenance, each written whole."""

from collections.abc import Callable, Mapping, Sequence
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
from sam2vss_lib.study.results.tables import text_table
from sam2vss_lib.study.results.text import escape, flat_columns, latex_table, markdown_table
from sam2vss_lib.study.stages.context import PaperStudy, StudyContext

_SHOWN = ("commit", "protocol", "data_sha256", "device", "seed")
#: a figure with its caption and its description for those who cannot see it, or either without
Drawn = Figure | tuple[Figure, str] | tuple[Figure, str, str]


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

    def keep(
        self,
        table: pd.DataFrame,
        values: Mapping[str, Any],
        *,
        readable: Mapping[str, pd.DataFrame],
        figures: Mapping[str, Drawn],
        in_report: Sequence[str] = (),
        files: Mapping[str, pd.DataFrame] | None = None,
        **more: Any,
    ) -> pd.Series:
        """Write everything that a notebook leaves, in one call.

        Args:
            table: all numbers, for `table.csv`.
            values: for `result.json`; their `caption` is that of the tables, too.
            readable: tables of text by their titles, for `table.md` and `table.tex`.
            figures: by their names.
            in_report: titles of the tables to read that the report shows as they are.
            files: further tables, for `<name>.csv`.
            **more: what replaces or follows `values`, such as the reading.

        Returns:
            What the numbers follow from, and the names of the files, to be shown.

        Raises:
            DataError: see `write_result`.
        """
        self.write_table(table, readable, values["caption"])
        for name, further in (files or {}).items():
            save_table(further, self.root / f"{name}.csv")
        for name, drawn in figures.items():
            figure, *words = drawn if isinstance(drawn, tuple) else (drawn,)
            self.write_figure(name, figure, *words)
        shown = [text_table(title, readable[title]).model_dump() for title in in_report]
        self.write_result({**values, **({"tables": shown} if shown else {}), **more})
        written = self.write_provenance()
        names = sorted(path.name for path in self.root.iterdir() if path.name[0] != ".")
        facts = {name: written.get(name) for name in _SHOWN}
        return pd.Series({**facts, **written["checkpoint_sha256"], "files": ", ".join(names)})

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

        The readable tables of text go by what they show, which follows the caption.
        """
        write_text(self.root / "table.csv", frame.to_csv(index=False))
        markdown, latex = [f"{caption}\n"], list[str]()
        for name, table in readable.items():
            markdown.append(f"## {name}\n\n{markdown_table(table)}\n")
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


def save_table(table: pd.DataFrame, path: str | Path, caption: str = "") -> list[Path]:
    """Take a table home: as `.csv`, `.md` or `.tex` by the suffix, or without one as all three.

    Example:
        >>> save_table(pd.DataFrame({"Clip": ["a"]}), "gains.odt")
        Traceback (most recent call last):
            ...
        sam2vss_lib.errors.SettingsError: gains.odt: no kind of table; name it .csv, .md or .tex

    Returns:
        The paths that were written.

    Raises:
        SettingsError: another suffix.
    """
    path = Path(path)
    texts: dict[str, Callable[[], str]] = {
        ".csv": lambda: flat_columns(table).to_csv(index=False),
        ".md": lambda: f"{caption}\n\n{markdown_table(table)}\n".lstrip("\n"),
        ".tex": lambda: latex_table(table, escape(caption), path.stem),
    }
    if path.suffix and path.suffix not in texts:
        raise SettingsError(f"{path}: no kind of table; name it .csv, .md or .tex")
    written = [path] if path.suffix else [path.with_suffix(suffix) for suffix in texts]
    for one in written:
        write_text(one, texts[one.suffix]())
    return written
