"""The benchmarks run, compare like with like, and write what they say; nothing is timed here."""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks import (
    agreement,
    equality,
    explorer,
    inputs,
    plan,
    profile,
    propagation,
    report,
    rounding,
    segmentors,
    windows,
)
from benchmarks.__main__ import main
from benchmarks.gpu import share
from benchmarks.rows import side_by_side
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison, read_benchmarks
from sam2vss_lib.widgets.stores import Choice


@pytest.mark.parametrize(("warm_up", "turns"), [(True, 4), (False, 3)])
def test_programs_take_turns(*, warm_up: bool, turns: int) -> None:
    calls: list[str] = []

    def program(name: str) -> int:
        calls.append(name)
        return len(calls)

    stock, legacy = side_by_side(
        lambda: program("ours"),
        {"stock": lambda: program("stock"), "legacy": lambda: program("legacy")},
        repeats=3,
        warm_up=warm_up,
        mean_iou=lambda ours, theirs: ours / theirs,
        least_ratio=1e9,
        section="s",
        case="c",
    )
    assert calls == ["ours", "stock", "legacy"] * turns
    assert (stock.other, legacy.other) == ("stock", "legacy")
    assert (stock.mean_iou, legacy.mean_iou) == (1 / 2, 1 / 3)  # of the first runs
    assert stock.baseline is not None
    assert stock.ratio_best == stock.baseline / stock.ours
    assert stock.met is False  # promised beside the first only
    assert legacy.met is None


def test_the_programs_compared_find_the_same_masks() -> None:
    model = load_sam2("demo")
    legacy = inputs.legacy_of(model)
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


def test_the_explorer_is_timed_on_a_clip_that_repeats_its_pictures() -> None:
    with explorer.long_clip(10, 4) as data:
        assert data.clips == ["long"]
        (parts,) = data.stores_of("long").opened(Choice.of(explorer._LOOSE)).windows
        assert [len(part.values("area")) for part in parts] == [4] * 10
        assert (parts[1].masks() == parts[9].masks()).all()
        assert (parts[1].masks() == explorer.ellipses(4, 1)).all()
        for vote in ("frame", "masklet"):
            assert len(explorer.redraws(data, vote, 1)) == 5
        assert len(explorer.scrubs(data, 1)) == 10


def test_iou_of_pairs_by_hand() -> None:
    a = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]], bool)
    b = np.array([[[0, 1, 1, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]], bool)
    assert agreement.paired_ious(a, b).tolist() == [1 / 3, 1, 0]
    assert agreement.mean_iou([a[:1], a[1:2]], [b[:1], b[1:2]]) == pytest.approx(2 / 3)


def test_differences_between_stores_are_found(tmp_path: Path) -> None:
    """Two windows of settings that keep other proposals, and a mask that has moved by a pixel."""
    loose = MaskletSettings(window=2, points_per_side=3, pred_iou_thresh=0.3)
    strict = loose.model_copy(update={"pred_iou_thresh": 0.95})
    with inputs.demo_clip(2) as dataset:
        found = [
            generate_masklets(dataset, load_sam2("demo"), one, tmp_path / str(index))
            for index, one in enumerate((loose, strict))
        ]
        name = dataset.clips[0].name
    stored = [MaskletStore(tmp_path / str(index)).read(name) for index in range(2)]
    assert found[0].masklets > found[1].masklets

    same = agreement.Differences()
    same.add_masklets(stored[0], stored[0])
    assert (same.anchors, same.other_proposals, same.masklets) == (1, 0, found[0].masklets)
    assert len(same.ious) == found[0].object_frames
    assert same.mean_iou == same.share_above == 1

    other = agreement.Differences()
    other.add_masklets(stored[0], stored[1])
    assert other.other_proposals == 1
    assert not other.are_small


@pytest.mark.parametrize(("pixels", "others"), [(1, 0), (3, 1)])
def test_a_proposal_is_the_same_when_its_stability_moved_by_a_pixel(
    tmp_path: Path, pixels: int, others: int
) -> None:
    loose = MaskletSettings(window=1, points_per_side=3, pred_iou_thresh=0.3)
    with inputs.demo_clip(1) as dataset:
        generate_masklets(dataset, load_sam2("demo"), loose, tmp_path)
        ours = MaskletStore(tmp_path).read(dataset.clips[0].name)
    values, areas = (ours.table[name].to_numpy() for name in ("stability", "area"))
    column = ours.table.schema.get_field_index("stability")
    moved = pa.array((values - pixels / areas).astype(np.float32))
    theirs = replace(ours, table=ours.table.set_column(column, "stability", moved))
    found = agreement.Differences()
    found.add_masklets(ours, theirs)
    assert found.other_proposals == others


def test_refined_maps_may_differ_in_less_than_one_pixel_of_ten_thousand() -> None:
    a = np.zeros((1, 100, 100), np.uint8)
    b = a.copy()
    b[0, 0, 0] = 1
    found = agreement.Differences()
    found.add_refined(a, b)
    assert not found.are_small  # exactly one
    found.add_refined(a, a)
    assert found.are_small
    assert found.details()["refined_pixels_differing_per_10000"] == 0.5


def test_equality_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [MaskletSettings(window=2, points_per_side=3)]
    with inputs.demo_clip(2) as dataset:
        (first,) = equality.rows(dataset, settings, tmp_path)
        monkeypatch.setattr("sam2vss_lib.masklets.engines.batched.clip.write_clip", None)
        (again,) = equality.rows(dataset, settings, tmp_path)
    assert first.met
    assert first.objects
    assert first.object_frames == 2 * first.objects
    assert again == first


def test_what_is_different_comes_from_memories_in_bfloat16() -> None:
    """Of the memories themselves: which logits a flipped bit moves depends on the processor."""
    memories, _, exact = rounding.run(quick=True)
    assert 0 < 20 * memories.details["before"] < memories.details["after"] == memories.ours
    assert 0 < memories.details["flipped"] < 0.001
    assert memories.details["one_step"]
    assert 0 < exact.ours < 1.5e-4


def test_memories_compared_by_hand() -> None:
    """Two frames of two objects, two tokens of two channels; stock's come channels first."""
    ours = [torch.arange(8.0).reshape(2, 2, 2) + 8 * frame for frame in range(2)]
    stocks = [x.T.reshape(1, 2, 1, 2).clone() for frame in ours for x in frame]
    same = rounding.compared(ours, [*stocks, torch.full((1, 2, 1, 2), 99.0)])
    assert same == (0, 0, 15, 0, True)
    half_a_step = 2.0**-8  # of bfloat16 between 1 and 2
    ours[0][0, 0, 1] += half_a_step * 1.01
    stocks[0][0, 1, 0, 0] += half_a_step * 0.99
    found = rounding.compared(ours, stocks)
    assert found.before == pytest.approx(0.02 * half_a_step, rel=0.01)
    assert (found.after, found.flipped, found.one_step) == (2 * half_a_step, 1 / 16, True)
    ours[1][1, 1, 1] += 3
    assert not rounding.compared(ours, stocks).one_step


def test_ablation_settings_are_those_of_the_tables() -> None:
    settings = plan.ablation_settings()
    assert len(settings) == 7 + 4 + 6 + 6
    assert settings.count(MaskletSettings()) == 4
    assert {s.window for s in settings} == {1, 2, 4, 8, 10, 16, 32}
    assert {s.points_per_side for s in settings} == {8, 16, 32, 64}
    assert len(plan.ablation_settings(16)) == 21


def test_every_part_of_the_engine_takes_time() -> None:
    settings = MaskletSettings(window=2, points_per_side=3)
    steps: dict[int, Iterator[int]] = defaultdict(itertools.count)  # of each thread

    def step() -> int:
        return next(steps[threading.get_ident()])

    with inputs.demo_clip(2) as dataset, profile.watched_parts(step) as found:
        windows.into_new_store(dataset, load_sam2("demo"), settings)
    assert all(found.values())
    # no part contains another
    assert sum(found.values()) == sum(next(thread) for thread in steps.values()) / 2


def test_operations_that_an_object_adds_are_counted() -> None:
    model = load_sam2("demo")
    with inputs.demo_clip(2) as dataset:
        flops = share.flops_per_object_frame(model, dataset.clips[0], "float32")
    assert 1e6 < flops < 1e10


def test_base_models_are_measured_with_references_and_beside_segformer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        segmentors,
        "measured",  # in this process, a fresh one for each takes seconds to start
        lambda model, **options: segmentors.cost(segmentors.Measurement(model=model, **options)),
    )
    rows = {(row.case, row.other): row for row in segmentors.run(quick=True)}
    assert {case for case, _ in rows} >= {"segformer-micro", "cffm-micro", "mrcfa-micro"}
    assert rows["segformer-micro", ""].ratio_best is None
    for (case, other), row in rows.items():
        assert row.ours > 0
        assert (row.baseline is None) == (other == "")
        assert (row.frames, row.repeats) == ((5, 2) if "mode 2" in case else (10, 7)), case


def test_written_results_can_be_read_and_seen(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    rows = (
        Comparison("propagation", "demo, 8 objects", "stock", "s", 1.0, 2.5, 2.5, 2.4, 3, 8, 4),
        Comparison("gpu", "tiny", "", "frames/s", 31.0),
    )
    facts = report.run_facts(quick=True)
    for row in rows:
        report.write(path, row.section, facts.model_copy(update={"rows": (row,)}))
    better = replace(rows[0], ratio_best=3.0)
    later = facts.model_copy(update={"date": "2030-01-01", "rows": (better,)})
    report.write(path, "propagation", later)

    stored = read_benchmarks(path)
    assert stored.rows == [better, rows[1]]  # replaced, and kept
    assert [stored.sections[name].date for name in ("propagation", "gpu")] == [
        "2030-01-01",
        facts.date,
    ]
    assert str(Path.home()) not in path.read_text(encoding="utf-8")
    assert path.with_suffix(".png").stat().st_size > 1000
    assert "2.5" in report.table(rows)
    assert not report.is_quiet(2.0, 2)
    assert report.is_quiet(0.1, 2)

    report.check_out(path)
    path.rename(tmp_path / "aside")
    with pytest.raises(SettingsError, match=r"results.png: is there, but no results.json"):
        report.check_out(path)

    path.write_text('{"format_version": 1, "rows": []}', encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.json: rows: "):
        report.write(path, "gpu", facts)
    assert json.loads(path.read_text(encoding="utf-8"))["rows"] == []


def test_what_misses_its_target_is_said() -> None:
    row = Comparison(
        "plan", "23 rows", "each alone", "object-frames", 50.0, 100.0, 2.0, note="50 %"
    )
    rows = [replace(row, target="<= 40 %", met=met) for met in (None, True, False)]
    (line,) = report.missed(rows)
    assert "<= 40 %" in line
    assert "50 %" in line


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "propagation,nothing"])
    assert stopped.value.code == 2
    assert "no benchmark nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.json"
    assert main(["--quick", "--repeats", "1", "--out", str(out)]) == 0
    sections = read_benchmarks(out).sections.keys()
    assert sections >= {
        "propagation",
        "proposals",
        "window",
        "profile",
        "plan",
        "memory",
        "segmentors",
    }
    assert "ratio, best" in capsys.readouterr().out
