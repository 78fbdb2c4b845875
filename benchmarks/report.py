"""Results as a table, as JSON with the facts of the machine, and as a plot."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.rows import Row
from sam2vss_lib.files import atomic_path, write_json
from sam2vss_lib.study.provenance import package_versions

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
    "ours_peak_mib": "MiB, ours",
    "baseline_peak_mib": "other",
}


def table(rows: Sequence[Row]) -> str:
    """Markdown table of all rows; above 1, a ratio is in favour of ours."""
    cells = [[_cell(getattr(row, name)) for name in _HEADINGS] for row in rows]
    headings = [*_HEADINGS.values()]
    return tabulate(cells, headings, tablefmt="github", disable_numparse=True)


def machine_facts() -> dict[str, Any]:
    """Where and with what the numbers were measured, no name or path of the machine among it."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": platform.system(),
        "versions": {"python": platform.python_version(), **package_versions()},
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(_git("diff", "HEAD", "--name-only")),
        "load_average": os.getloadavg()[0],
    }


def is_quiet(facts: dict[str, Any]) -> bool:
    """Whether little else was running: measured ratios mean something then."""
    return facts["load_average"] < 0.3 * (facts["cpus"] or 1)


def write(path: Path, rows: Sequence[Row], facts: dict[str, Any], *, quick: bool) -> Path:
    """Write results as JSON, and a plot of the ratios beside it.

    Returns:
        Path of the plot.
    """
    results = {"format_version": 1, "quick": quick, "machine": facts}
    write_json(path, {**results, "rows": [asdict(row) for row in rows]})
    plot = path.with_suffix(".png")
    with atomic_path(plot) as temporary:
        ratio_figure(rows).savefig(temporary, dpi=120)
    return plot


def ratio_figure(rows: Sequence[Row]) -> Figure:
    """Bars of the ratios, one per row that has one; the line at 1 is the other program."""
    shown = [row for row in rows if row.ratio_best is not None][::-1]
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    names = [f"{row.section}: {row.case}, {_seen_by(row)}" for row in shown]
    bars = axes.barh(range(len(shown)), [row.ratio_best or 0.0 for row in shown], color="#4477aa")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.margins(x=0.12)
    axes.set_xlabel("ratio of the other to ours (above 1: less time, work or memory)")
    return figure


def _seen_by(row: Row) -> str:
    amount = "" if row.unit == "s" else f"{row.unit}, "
    frames = f"{row.frames} frames, " if row.unit == "MiB" else ""
    return f"{amount}{frames}v {row.other}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
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
