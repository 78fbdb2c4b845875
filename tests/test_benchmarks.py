"""The benchmarks run, compare like with like, and write what they say; nothing is timed here."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu, inputs, plan, propagation, report
from benchmarks.__main__ import main
from benchmarks.rows import Row, side_by_side
from sam2vss_lib.masklets.sam2 import load_sam2


def test_programs_take_turns_after_a_run_of_each() -> None:
    calls: list[str] = []
    row = side_by_side(
        lambda: calls.append("ours"),
        lambda: calls.append("other"),
        section="s",
        case="c",
        other="o",
        repeats=3,
    )
    assert calls == ["ours", "other"] * 4
    assert row.baseline is not None
    assert row.ratio_best == row.baseline / row.ours


def test_the_programs_compared_find_the_same_masks() -> None:
    model = load_sam2("demo")
    legacy = inputs.demo_by_legacy(model)
    with inputs.demo_clip(2) as dataset:
        (clip,) = dataset
        masks = inputs.boxes(2, clip.size)
        runs = [propagation.by_engine(model, clip, masks), propagation.by_stock(model, clip, masks)]
        if legacy is not None:
            runs.append(propagation.by_legacy(legacy, clip, masks))
    for frames in itertools.zip_longest(*runs):
        for other in frames[1:]:
            assert frames[0].shape == other.shape == (2, *clip.size)
            assert (frames[0] != other).mean() < 1e-4
    assert all(np.any(frame) for frame in runs[0])


def test_ablation_settings_are_those_of_the_tables() -> None:
    settings = plan.ablation_settings()
    assert len(settings) == len(set(settings)) == 20
    assert {s.window for s in settings} == {1, 2, 4, 8, 10, 16, 32}
    assert {s.points_per_side for s in settings} == {8, 16, 32, 64}
    assert len(plan.ablation_settings(16)) == 18


def test_operations_that_an_object_adds_are_counted() -> None:
    model = load_sam2("demo")
    with inputs.demo_clip(2) as dataset:
        flops = gpu.flops_per_object_frame(model, dataset.clips[0], "float32")
    assert 1e6 < flops < 1e10


def test_written_results_can_be_read_and_seen(tmp_path: Path) -> None:
    rows = [
        Row("propagation", "demo, 8 objects", "stock", "s", 1.0, 2.5, 2.5, 2.4, 3, 8, 4),
        Row("gpu", "tiny", "", "frames/s", 31.0),
    ]
    facts = report.machine_facts()
    plot = report.write(tmp_path / "results.json", rows, facts, quick=True)
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [row["ratio_best"] for row in stored["rows"]] == [2.5, None]
    assert stored["machine"]["torch_threads"] == torch.get_num_threads()
    assert str(Path.home()) not in json.dumps(stored)
    assert plot.stat().st_size > 1000
    assert "2.5" in report.table(rows)
    assert not report.is_quiet({"load_average": 2.0, "cpus": 2})
    assert report.is_quiet({"load_average": 0.1, "cpus": 2})


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "propagation,nothing"])
    assert stopped.value.code == 2
    assert "no benchmark nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.json"
    assert main(["--quick", "--repeats", "1", "--out", str(out)]) == 0
    stored = json.loads(out.read_text(encoding="utf-8"))
    sections = {row["section"] for row in stored["rows"]}
    assert sections >= {"propagation", "proposals", "window", "plan", "memory"}
    assert "ratio, best" in capsys.readouterr().out
