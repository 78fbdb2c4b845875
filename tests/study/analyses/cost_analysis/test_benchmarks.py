"""Notebook 08 beside a file of the benchmarks: what it shows, and what it says without one."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import write_json
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import (
    BenchmarkFile,
    Comparison,
    Machine,
    Section,
    benchmark_frame,
    benchmark_words,
    circumstances,
    read_benchmarks,
    study_benchmarks,
)
from sam2vss_lib.study.analyses.cost_analysis.measurement import CostMeasurement, PartCost
from sam2vss_lib.study.analyses.cost_analysis.results import (
    cost_values,
    figure_ratios,
    ratio_figures,
)
from sam2vss_lib.study.results.schema import parse_result
from sam2vss_lib.study.settings import make_settings

FASTER = Comparison(
    "propagation", "demo, 24 objects", "stock", "s", 1.0, 2.5, 2.5, target="2x", met=True
)
SLOWER = Comparison("memory", "demo", "64 frames", "MiB", 500.0, 400.0, 0.8, frames=1024)
ALONE = Comparison("profile", "mask decoder", "", "s", 0.5)


def section(*rows: Comparison, date: str = "2026-01-02", quiet: bool = True) -> Section:
    machine = Machine(
        cpu="Some CPU",
        cpus=2,
        torch_threads=1,
        gpu=None,
        system="Linux",
        load_average=0.1,
        quiet=quiet,
    )
    versions = {"torch": "2"}
    commit = "0123456789abcdef"
    return Section(
        date=date,
        quick=False,
        machine=machine,
        versions=versions,
        commit=commit,
        modified=False,
        rows=rows,
    )


FOUND = BenchmarkFile(
    sections={
        "propagation": section(FASTER),
        "profile": section(ALONE),
        "memory": section(SLOWER, date="2026-01-03", quiet=False),
    }
)


def settings(**changed: Any) -> Any:
    places = {"out_dir": "out", "stages_dir": "stages"}
    return make_settings({"profile": "demo", "dataset": "demo", **places, **changed})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, FOUND.model_dump(mode="json"))
    assert read_benchmarks(path) == FOUND
    assert study_benchmarks(settings(benchmarks=str(path))) == FOUND


@pytest.mark.parametrize("name", ["", "benchmarks/not_there.json"])
def test_without_a_file_one_line_says_so(name: str) -> None:
    chosen = settings(benchmarks=name)
    found = study_benchmarks(chosen)
    words = benchmark_words(chosen, found)
    assert "make bench" in words
    assert name in words
    assert len(words.splitlines()) == 1
    assert benchmark_frame(found).empty
    assert ratio_figures(found) == {}


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"format_version": 2}, "format_version"),
        ({"sections": {"plan": {"rows": []}}}, "sections.plan.date"),
        ({"rows": []}, "rows"),
    ],
)
def test_another_file_is_refused_in_one_line(
    tmp_path: Path, values: dict[str, Any], place: str
) -> None:
    path = tmp_path / "other.json"
    write_json(path, values)
    with pytest.raises(DataError) as refused:
        study_benchmarks(settings(benchmarks=str(path)))
    assert str(refused.value).startswith(f"{path}: {place}: ")
    assert len(str(refused.value).splitlines()) == 1


def test_each_place_and_day_has_a_line() -> None:
    together, alone = circumstances(FOUND)
    assert together.startswith("propagation, profile: measured on 2026-01-02, Some CPU, 1 of 2")
    assert together.endswith("commit 0123456789")
    assert alone.startswith("memory: measured on 2026-01-03")
    assert "while other programs ran" in alone


def test_the_table_has_every_row() -> None:
    frame = benchmark_frame(FOUND)
    faster, nothing, slower = frame["ratio"].tolist()
    assert (faster, slower) == (2.5, 0.8)
    assert math.isnan(nothing)
    assert frame["met"].tolist() == ["yes", "", ""]


def test_the_figure_has_the_ratios_only() -> None:
    (axis,) = figure_ratios(FOUND.rows).axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == [
        "propagation: demo, 24 objects, v stock",
        "memory: demo, MiB, 1024 frames, v 64 frames",
    ]
    assert [text.get_text().strip() for text in axis.texts] == ["2.50", "0.80"]
    first, second = axis.patches[0].get_facecolor(), axis.patches[1].get_facecolor()
    assert first != second


def test_the_result_carries_them_with_their_circumstances() -> None:
    parts = (PartCost(part="track", per_frame=1, gflop=1, seconds=0.2),)
    measured = CostMeasurement(
        parts=(*parts, *parts),
        objects=(1, 2),
        track_seconds=(0.1, 0.2),
        peak_memory_mib=9,
        masklets=1,
        window=2,
    )
    study: Any = SimpleNamespace()
    values = cost_values(study, measured, FOUND, "caption")
    assert values["tables"][-1]["rows"][1][:2] == ["profile", "mask decoder"]
    assert "nan" not in str(values["tables"][-1]["rows"])
    assert values["notes"][1:] == circumstances(FOUND)
    parse_result({"format_version": 1, "settings": {}, "figures": [], **values}, "result.json")
