"""Results as a table, as JSON with the facts of the machine, and as a plot."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.files import atomic_path, write_json
from sam2vss_lib.storage.targets import beside, check_file
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import (
    BenchmarkFile,
    Comparison,
    Machine,
    Section,
    read_benchmarks,
)
from sam2vss_lib.study.stages.provenance import package_versions

_ROOT = Path(__file__).resolve().parents[1]
_HEADINGS = {
    "case": "case",
    "other": "beside",
    "frames": "frames",
    "objects": "objects",
    "object_frames": "object-frames",
    "image_encodings": "encodings",
    "unit": "unit",
    "ours": "ours",
    "baseline": "other",
    "ratio_best": "ratio, best",
    "ratio_median": "median",
    "mean_iou": "mean IoU",
    "ours_peak_mib": "MiB, ours",
    "baseline_peak_mib": "other",
    "target": "target",
    "met": "met",
}


def table(rows: Sequence[Comparison]) -> str:
    """Markdown table of all rows; above 1, a ratio is in favour of ours.

    Where the package that makes tables is missing, a line per row.
    """
    try:
        from tabulate import tabulate
    except ModuleNotFoundError:
        return "\n".join(map(line, rows))
    cells = [[_cell(getattr(row, name)) for name in _HEADINGS] for row in rows]
    headings = [*_HEADINGS.values()]
    return tabulate(cells, headings, tablefmt="github", disable_numparse=True)


def line(row: Comparison) -> str:
    """A row in short."""
    other = f" v {row.other}" if row.other else ""
    ratio = "" if row.ratio_best is None else f", ratio {row.ratio_best:.2f}"
    number = row.unit if row.unit == "failed" else f"{_cell(row.ours)} {row.unit}"
    return f"{row.case}{other}: {number}{ratio}" + f"; {row.note}" * bool(row.note)


def missed(rows: Sequence[Comparison]) -> list[str]:
    """A line for every row that misses its target."""
    return [
        f"missed: {row.section}, {row.case}, {row.unit} {_cell(row.ours)} v {row.other}: "
        f"{row.target}; {row.note or f'ratio {_cell(row.ratio_best)}'}"
        for row in rows
        if row.met is False
    ]


def run_facts(*, quick: bool) -> Section:
    """When, where and with what numbers are measured, no name or path of the machine among it."""
    cpus, load = os.cpu_count(), os.getloadavg()[0]
    return Section(
        date=datetime.now(UTC).date().isoformat(),
        quick=quick,
        machine=Machine(
            cpu=_cpu_name(),
            cpus=cpus,
            torch_threads=torch.get_num_threads(),
            gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            system=platform.system(),
            load_average=load,
            quiet=is_quiet(load, cpus),
        ),
        versions={"python": platform.python_version(), **package_versions()},
        commit=_git("rev-parse", "HEAD"),
        modified=bool(_git("diff", "HEAD", "--name-only")),
    )


def is_quiet(load_average: float, cpus: int | None) -> bool:
    """Whether little else was running: measured ratios mean something then."""
    return load_average < 0.3 * (cpus or 1)


def check_out(path: Path) -> None:
    """Refuse at once a place for results where something else would be replaced.

    Raises:
        SettingsError: no file can be written there, or a plot is there without its JSON file.
        DataError: the file is there and not one of ours.
    """
    plot = beside(path, ".png")
    check_file(path)
    check_file(plot)
    if path.exists():
        read_benchmarks(path)
    elif plot.exists():
        raise SettingsError(f"{plot}: is there, but no {path.name} that it is of; use another name")


def write(path: Path, name: str, section: Section, *, plot: bool = True) -> None:
    """Put the rows of one benchmark into a JSON file, and draw its ratios anew beside it.

    Nothing is drawn where what draws is not installed, nor where there is no ratio.

    What other benchmarks have left in the file stays, with the machine each was measured on; what
    this one left there is replaced.

    Raises:
        DataError: the file is there and not one of ours.
    """
    sections = read_benchmarks(path).sections if path.exists() else {}
    found = BenchmarkFile(sections={**sections, name: section})
    write_json(path, found.model_dump(mode="json"))
    if not plot or all(row.ratio_best is None for row in found.rows):
        return
    try:
        from sam2vss_lib.study.analyses.cost_analysis.results import figure_ratios
    except ModuleNotFoundError:
        return
    with atomic_path(beside(path, ".png")) as temporary:
        figure_ratios(found.rows).savefig(temporary, dpi=120)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return (
            f"{value:.0f}"
            if value >= 100
            else f"{value:.5g}"
            if 0.9 < value < 1
            else f"{value:.3g}"
        )
    return str(value)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
