"""What `result.json` holds: the one shape that every notebook writes and the report reads.

A notebook may keep further fields of its own; the report passes over them. Numbers are in the
percent, gains in percentage points.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, model_validator

from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.stages.study import Evaluated
from sam2vss_lib.validation import parsed

FORMAT_VERSION = 1
Name = tuple[str, str]  # method (or setting) and backbone, as the paper prints them
Verdict = Literal[
    "holds", "does not hold", "undecided",  # directions that the paper reports, on our numbers
    "consistent", "inconsistent", "cannot tell",  # the paper against itself
]  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Row(_Part):
    """A row: what was run (or why not), our numbers, the paper's, and gains of both."""

    method: str  # name of the row; for ablations the value of the setting
    backbone: str = ""  # second name, "" where the table has none
    status: str = ""  # "run on ..." or "not run: why"
    ours: dict[str, float | None] = {}  # metric -> value, None where it could not be computed
    # metric -> value as printed, None where the paper prints none
    paper: dict[str, float | None] = {}
    gains: dict[str, Gain] = {}  # metric -> our gain over the reference row
    paper_gains: dict[str, float | None] = {}  # metric -> the paper's gain over the same row
    variants: dict[str, Any] | None = None  # metric -> its other definitions -> value
    # the row that gains are taken over; this and what follows is not in the file
    reference: Name | None = Field(default=None, exclude=True)
    # the predictions behind our numbers
    evaluated: InstanceOf[Evaluated] | None = Field(default=None, exclude=True)
    # the paper's name of the row where it differs from ours
    printed_as: Name | None = Field(default=None, exclude=True)

    @property
    def name(self) -> Name:
        """Method and backbone."""
        return self.method, self.backbone

    @property
    def printed_name(self) -> Name:
        """The same as the paper prints it."""
        return self.printed_as or self.name

    @property
    def label(self) -> str:
        """Method and backbone in one word."""
        return " ".join(self.name).strip()

    @property
    def run(self) -> Evaluated:
        """The predictions behind our numbers.

        Raises:
            ValueError: the row was not run.
        """
        if self.evaluated is None:
            raise ValueError(f"{self.label} was not run")
        return self.evaluated

    @property
    def was_run(self) -> bool:
        """Whether there is any number of ours."""
        return any(value is not None for value in self.ours.values())

    @property
    def remark(self) -> str:
        """The status without the row's own name, so that rows with the same one share it."""
        if not self.status:
            return "run" if self.was_run else "not run: no reason given"
        return self.status.replace(self.label, "such row")


class Claim(_Part):
    """A statement with its verdict and evidence."""

    statement: str
    gain: float | None = None  # the difference it is judged by in points, if it is judged by one
    low: float | None = None  # lower end of its 95 % interval over clips
    high: float | None = None
    verdict: Verdict
    where: str = ""  # place in the paper
    evidence: str = ""  # the computed values in words
    why: str = ""


class ResultFigure(_Part):
    """Caption and description of `fig_<name>.png` and `.svg`."""

    name: str
    caption: str = ""
    alt: str = ""


class TextTable(_Part):
    """A table that is not ours against the paper's: columns and lines of text."""

    title: str
    columns: list[str]
    rows: list[list[str]]

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row needs {len(self.columns)} cells, as there are columns")
        return self


class Coverage(_Part):
    """On how much of the paper's data the numbers are."""

    demo: bool  # whether it is generated data
    clips: int  # clips that were used
    # clips that the paper's table is about; None where that is not known
    paper_clips: int | None = None


class Result(_Part):
    """Contents of a notebook's `result.json`."""

    format_version: Literal[1] = FORMAT_VERSION  # of this schema
    table: int | None = None  # number of the paper's table, if the notebook reproduces one
    caption: str = ""  # what was measured on what
    comparable_with_paper: bool = False  # whether `ours` may be read beside `paper`
    coverage: Coverage | None = None  # on how much of the paper's data
    # a value this close to the paper's counts as reproduced
    tolerance_points: float = Field(default=0.5, gt=0)
    rows: list[Row] = []
    claims: list[Claim] = []  # statements with verdicts
    tables: list[TextTable] = []
    figures: list[ResultFigure] = []  # captions; figures without one are shown too
    reading: str = ""  # our reading in words
    notes: list[str] = []  # limits and remarks
    settings: dict[str, Any] = {}  # what the numbers were made with

    @property
    def demo(self) -> bool:
        """Whether the numbers are about generated data."""
        if self.coverage is not None:
            return self.coverage.demo
        return str(self.settings.get("dataset", "")).startswith("demo")

    @property
    def metrics(self) -> list[str]:
        """The metrics of the rows, in the order of the table."""
        return list(dict.fromkeys(name for row in self.rows for name in [*row.ours, *row.paper]))


def parse_result(values: Mapping[str, Any], where: str) -> Result:
    """Check the contents of a `result.json`; `where` names the file in the message.

    Raises:
        DataError: a field is missing or wrong; one line that names it.
    """
    return parsed(Result, values, where)
