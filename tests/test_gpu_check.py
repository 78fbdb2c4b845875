"""`python -m benchmarks --only gpu`: all of it runs here, tiny, and nothing that fails stops it."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu, inputs
from benchmarks.__main__ import main
from benchmarks.gpu import cases, stock, tracking
from benchmarks.gpu.cases import FAILED, Case, Scale
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import (
    Comparison,
    Machine,
    Section,
    gpu_words,
    read_benchmarks,
)

ROOT = Path(__file__).resolve().parents[1]
#: the check in a process without the packages of any extra, as on a machine beside its own torch
CHECK = """
import sys
from tests.no_extras import hide
hide()
from benchmarks.__main__ import main
sys.exit(main(["--only", "gpu", "--quick", "--minutes", "5", "--out", sys.argv[1]]))
"""


def test_the_whole_check_runs_without_a_card_and_without_extras(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-W", "ignore", "-c", CHECK, str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = read_benchmarks(out).sections["gpu"].rows
    cases_of = [row.case for row in rows]
    wrong = {row.case: row.note for row in rows if row.unit == FAILED}
    assert all("attention_backend" in case for case in wrong), wrong
    if not torch.cuda.is_available():
        assert any("not to be had on cpu" in note for note in wrong.values())
    assert [row.met for row in rows if row.target] == [True] * 3
    speeds = [row for row in rows if row.unit == "frames/s" and "exact" in row.case]
    assert {(row.objects, row.other) for row in speeds} >= {
        *itertools.product((1, 3), ("", "SAM2VideoPredictor"))
    }
    for part in ("decoding", "image encoder", "proposals", "memory attention", "mask decoder",
                 "memory encoder", "run lengths", "writing"):  # fmt: skip
        assert any(f"3 objects: {part}" in case for case in cases_of), part
    for case in ("refine", "evaluate", "cffm", "mrcfa", "tv3s", "demo, float32, channels_last"):
        assert any(one.startswith(case) for one in cases_of), case
    assert any(row.unit == "TFLOP/s" and 0 < row.details["share"] < 2 for row in rows)
    (low,) = [row for row in rows if row.other == "engine in float32"]
    assert low.objects
    assert 0.9 < low.ours <= 1
    assert "demo, float32, 3 objects, exact" in done.stdout


def row(case: str) -> Comparison:
    return Comparison("gpu", case, "", "s", 1.0)


def test_what_fails_is_a_row_and_the_rest_goes_on() -> None:
    def rows() -> Iterator[Comparison]:
        yield row("before")
        raise torch.OutOfMemoryError("no room\nlong story")

    def step() -> Iterator[Case]:
        yield Case("one", lambda: [row("one")])
        yield Case("two", rows)
        yield Case("three", lambda: [row("three")])
        raise ValueError("the step itself")

    found = [list(one) for one in gpu.guarded("step", step(), time.monotonic() + 60)]
    assert [[(r.case, r.note) for r in one] for one in found] == [
        [("one", "")],
        [("before", ""), ("step: two", "no room")],
        [("three", "")],
        [("step", "the step itself")],
    ]
    assert [r.unit for one in found for r in one] == ["s", "s", FAILED, "s", FAILED]


def test_a_step_ends_with_its_time() -> None:
    def stubborn() -> list[Comparison]:
        while True:
            try:
                time.sleep(0.05)
            except Exception:  # as a compiler that tries variants does
                continue

    def step() -> Iterator[Case]:
        yield Case("endless", stubborn)
        yield Case("never", lambda: [row("never")])

    started = time.monotonic()
    found = list(gpu.guarded("step", step(), started + 1.2))
    assert time.monotonic() - started < 10
    assert [one[0].case for one in found] == ["step: endless", "step"]
    assert all(one[0].note.startswith("no time left") for one in found)


def test_a_machine_that_is_taken_away_leaves_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, written = tmp_path / "gpu.json", list[int]()

    def run(*, quick: bool, minutes: float) -> Iterator[Comparison]:
        assert (quick, minutes) == (True, 0.5)
        for number in range(3):
            yield row(f"case {number}")
            written.append(len(read_benchmarks(out).rows))
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "run", run)
    with pytest.raises(KeyboardInterrupt):
        main(["--only", "gpu", "--quick", "--minutes", "0.5", "--out", str(out)])
    assert written == [1, 2, 3]
    assert len(read_benchmarks(out).rows) == 3


def test_both_engines_follow_what_is_given(tmp_path: Path) -> None:
    scale = cases.scale_of(torch.device("cpu"), quick=True)
    masks = inputs.boxes(2, scale.size_px)
    with tracking.given(masks), cases.clips(scale, 2) as dataset:
        for name in ("batched", "stock"):
            settings = tracking.settings_for(scale, "exact").model_copy(update={"engine": name})
            found = tracking.stored(dataset, load_sam2("demo"), settings)
            (first, _second) = next(iter(found.windows()))
            np.testing.assert_array_equal(first.masks().shape, masks.shape)
            assert ((first.masks() & masks).sum() / (first.masks() | masks).sum()) > 0.9


def test_stock_is_compiled_as_its_package_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled: list[dict[str, Any]] = []
    monkeypatch.setattr(
        torch, "compile", lambda function, **options: compiled.append(options) or function
    )
    plain = inputs.official_architecture("t", image_size=256)
    model = stock.optimized("t", plain)
    assert len(compiled) == 5  # the image encoder, and four parts of a step
    assert type(model.predictor).__name__ == "SAM2VideoPredictorVOS"
    scale = replace(cases.scale_of(torch.device("cpu"), quick=True))
    with cases.clips(scale, 2) as dataset:
        (clip,) = dataset
        paths = [clip.frame_path(index) for index in range(2)]
        found = list(propagate(model, paths, inputs.boxes(2, clip.size)))
    assert [part.logits.shape for part in found] == [(2, *scale.size_px)] * 2


def test_a_card_is_given_the_papers_scale_in_the_order_of_importance() -> None:
    scale: Scale = cases.scale_of(torch.device("cuda"), quick=False)
    assert (scale.models, scale.counts, scale.size_px) == (("l", "t"), (30, 128, 1), (480, 853))
    names = [case.name for case in itertools.islice(tracking.speed(scale), 6)]
    assert names[:2] == ["l, 30 objects, exact", "t, 30 objects, exact"]
    shares = [until for _, until in gpu.STEPS.values()]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [*gpu.STEPS][:2] == ["equality", "speed"]


def test_the_notebook_tells_of_a_card_only_where_one_was_used() -> None:
    machine = Machine(
        cpu="c", cpus=2, torch_threads=2, gpu=None, system="Linux", load_average=0, quiet=True
    )
    facts: dict[str, Any] = {"date": "2030-01-01", "quick": False, "versions": {}, "commit": None}
    fast = replace(row("l, 30 objects"), unit="frames/s", ours=12.3, objects=30)
    section = Section(machine=machine, modified=False, rows=(fast, row("parts")), **facts)
    found = read_benchmarks(ROOT / "benchmarks" / "results.json")
    without = found.model_copy(update={"sections": {}})
    for one in (without, without.model_copy(update={"sections": {"gpu": section}})):
        assert gpu_words(one).startswith("No GPU has been used yet.")
        assert "1.1 to 3.5" in gpu_words(one)
    card = machine.model_copy(update={"gpu": "A Card"})
    used = {"gpu": section.model_copy(update={"machine": card})}
    text = gpu_words(without.model_copy(update={"sections": used}))
    assert text.startswith("A Card, ")
    assert "1.1 to 3.5" in text
    assert "| l, 30 objects | 12.3 |" in text
    assert "parts" not in text
    assert json.dumps(text)
