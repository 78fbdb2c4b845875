"""What `python -m benchmarks` has measured: the file it writes, and how notebook 08 tells of it."""

from __future__ import annotations

from dataclasses import asdict, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel
from pydantic.dataclasses import dataclass

from sam2vss_lib.storage.files import read_json
from sam2vss_lib.storage.places import PROJECT
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.validation import parsed

if TYPE_CHECKING:
    import pandas as pd

#: the paper on an A100, for 480p VSPW (section 4.1.1): what its refiner and its base models reach
PAPER_FPS = (1.1, 3.5)


@dataclass(frozen=True)
class Comparison:
    """One line of the table: this program (ours) beside another."""

    section: str  # which benchmark
    case: str  # what was computed
    other: str  # what ours is compared with
    unit: str  # of `ours` and `baseline`
    ours: float  # best of the repeats; a count where the unit is one
    baseline: float | None = None  # likewise, of the other program
    ratio_best: float | None = None  # baseline over ours, best over best: above 1 ours is better
    ratio_median: float | None = None  # median over median
    repeats: int = 1  # timed runs of each
    objects: int | None = None  # number of objects, or of proposals
    frames: int | None = None
    object_frames: int | None = None  # objects propagated times frames, of ours
    image_encodings: int | None = None  # frames through the image encoder, of ours
    # growth of resident memory during the first run, or all of it where the unit is MiB
    ours_peak_mib: float | None = None
    baseline_peak_mib: float | None = None  # likewise
    mean_iou: float | None = None  # of the masks that both found, 1 where both are empty
    target: str = ""  # what the project promises, empty where nothing
    met: bool | None = None
    note: str = ""  # what else is to be known
    details: dict[str, float] = field(default_factory=dict)  # further numbers by name


class Machine(BaseModel, frozen=True, extra="forbid"):
    """Where it was measured."""

    cpu: str  # name of the processor
    cpus: int | None  # its logical processors
    torch_threads: int  # threads that torch used
    gpu: str | None  # name of the GPU, None without one
    system: str  # operating system
    load_average: float  # programs running just before
    quiet: bool  # whether that is so few that times mean something


class Section(BaseModel, frozen=True, extra="forbid"):
    """The rows of one benchmark, and what they were measured with."""

    date: str  # day of the measurement, ISO 8601
    quick: bool  # whether it was the short form, whose numbers only show that it runs
    machine: Machine
    versions: dict[str, str]  # package -> version, Python included
    commit: str | None  # of the code, None outside a checkout
    modified: bool  # whether tracked files differed from it
    rows: tuple[Comparison, ...] = ()


class BenchmarkFile(BaseModel, frozen=True, extra="forbid"):
    """Sections by name; each keeps its own facts, since not all are measured at once."""

    format_version: Literal[1] = 1
    sections: dict[str, Section] = {}

    @property
    def rows(self) -> list[Comparison]:
        """The rows of all sections."""
        return [row for section in self.sections.values() for row in section.rows]


def read_benchmarks(path: Path) -> BenchmarkFile:
    """Read a file of `python -m benchmarks --out`.

    Raises:
        DataError: it is missing or no such file.
    """
    return parsed(BenchmarkFile, read_json(path), str(path), "; move it away and run make bench")


def study_benchmarks(settings: StudySettings) -> BenchmarkFile:
    """The file that the settings name; one without sections where there is none."""
    path = PROJECT / settings.benchmarks  # without a name, a folder
    return read_benchmarks(path) if path.is_file() else BenchmarkFile()


def benchmark_frame(found: BenchmarkFile) -> pd.DataFrame:
    """All rows, as a table to be shown.

    Returns:
        Columns `benchmark`, `case`, `beside`, `unit`, `ours`, `other`, `ratio`, `mean_iou`,
        `target` and `met`; numbers are NaN and texts empty where there are none.
    """
    import pandas as pd  # `python -m benchmarks` writes its file without it

    names = {
        "section": "benchmark", "case": "case", "other": "beside", "unit": "unit", "ours": "ours",
        "baseline": "other", "ratio_best": "ratio", "mean_iou": "mean_iou", "target": "target",
        "met": "met",
    }  # fmt: skip
    rows = pd.DataFrame([asdict(row) for row in found.rows], columns=[*names])
    met = [{None: "", True: "yes", False: "no"}[met] for met in rows["met"].tolist()]
    return rows.assign(met=met).rename(columns=names)


def benchmark_words(settings: StudySettings, found: BenchmarkFile) -> str:
    """How to read the rows, and where and when they were measured, as Markdown."""
    if not found.sections:
        name = settings.benchmarks or "no file is named by the parameter `benchmarks`"
        return f"No ratios to stock sam2 to show ({name}): `make bench` measures them."
    lines = "\n".join(f"- {line}" for line in circumstances(found))
    return f"Above 1, a ratio is in favour of ours.\n\n{lines}"


def gpu_words(found: BenchmarkFile) -> str:
    """Frames a second on a card beside the paper's, as Markdown; or that there are none yet."""
    low, high = PAPER_FPS
    section = found.sections.get("gpu")
    if section is None or section.machine.gpu is None:
        return (
            f"No GPU has been used yet. The paper reports {low} to {high} frames a second on an "
            "A100; `python -m benchmarks --only gpu --minutes 8 --out FILE` measures on a machine "
            "with a card."
        )
    rows = [r for r in section.rows if r.unit == "frames/s" and r.objects and not r.other]
    lines = "\n".join(f"| {row.case} | {row.ours:.1f} |" for row in rows)
    return (
        f"{section.machine.gpu}, from files to stored masklets of given boxes, random weights, "
        f"{section.date}; "
        f"the paper reports {low} to {high} frames a second on an A100.\n\n"
        f"| model and objects | frames a second |\n|---|---|\n{lines}"
    )


def circumstances(found: BenchmarkFile) -> list[str]:
    """When, where and on which machine the sections were measured, a line for each such place."""
    alike: dict[str, list[str]] = {}
    for name, section in found.sections.items():
        alike.setdefault(_circumstances(section), []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in alike.items()]


def _circumstances(section: Section) -> str:
    machine, commit = section.machine, (section.commit or "unknown")[:10]
    facts = [
        f"measured on {section.date}",
        machine.gpu or machine.cpu,
        f"{machine.torch_threads} of {machine.cpus} logical processors",
        f"commit {commit}" + " with changes" * section.modified,
        "" if machine.quiet else "while other programs ran",
        "short form, whose numbers mean little" if section.quick else "",
    ]
    return ", ".join(fact for fact in facts if fact)
