"""The atlas of a data set: counted once, its sums those of the label files, drawn and told."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.registry import VOTES, VoteRule
from sam2vss_lib.study.analyses.failure_atlas import atlas as atlas_module
from sam2vss_lib.study.analyses.failure_atlas.atlas import (
    LABELLED,
    PUT_RIGHT,
    UNCOVERED,
    Atlas,
    failure_atlas,
)
from sam2vss_lib.study.analyses.failure_atlas.causes import CAUSES
from sam2vss_lib.study.analyses.failure_atlas.figures import figure_atlas
from sam2vss_lib.study.analyses.failure_atlas.tables import (
    atlas_reading,
    atlas_table,
    fragments_table,
)
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.settings import make_settings
from sam2vss_lib.study.stages.study import Evaluated, Study
from tests.masklets.common import write_masklets

Pairs = list[tuple[Row, Row]]


def a_row(name: str, folder: PredictionFolder) -> Row:
    return Row(method=name, backbone="b", evaluated=Evaluated(folder, {}, None))  # type: ignore[arg-type]


def a_study(root: Path, **settings: Any) -> Study:
    places = {"out_dir": str(root.parent / "out"), "stages_dir": str(root.parent / "stages")}
    given = {"profile": "p", "dataset": str(root), "device": "cpu", **places, **settings}
    study = Study(make_settings(given))
    store = MaskletStore(root.parent / "masklets")
    if not store.root.exists():
        rng = np.random.default_rng(3)
        for clip in study.dataset:
            windows = [np.zeros((t, 6, *clip.size), np.bool_) for t in (3, 1)]
            windows.append(np.zeros((1, 0, *clip.size), np.bool_))  # the last frame has none
            for window in windows:
                for t, n in np.ndindex(window.shape[:2]):
                    top, left = rng.integers(0, 18), rng.integers(0, 24)
                    window[t, n, top : top + 9, left : left + 10] = True
            scores = [rng.random((2, w.shape[1])).astype(np.float32) for w in windows]
            write_masklets(store, clip.name, windows, scores)
    study.__dict__["masklets"] = store  # those that SAM2 would have made
    return study


@pytest.fixture
def study(tiny_vspw: Path) -> Study:
    return a_study(tiny_vspw)


@pytest.fixture
def pairs(study: Study, tmp_path: Path) -> Pairs:
    """Predictions with errors in blocks and holes, refined by the stage that refines."""
    rng = np.random.default_rng(0)
    base = PredictionFolder(tmp_path / "base", study.dataset.num_classes)
    for clip in study.dataset:
        for i in range(clip.num_frames):
            truth = clip.ground_truth(i)
            blocks = np.kron(rng.random((6, 8)), np.ones((4, 4)))
            labels = np.where(blocks < 0.3, (truth + 1) % 3, truth)
            base.write(clip, i, np.where(blocks > 0.95, 255, labels).astype(np.uint8))
    refined = PredictionFolder(tmp_path / "refined", study.dataset.num_classes)
    refine(study.dataset, base, study.masklets, refined, study.settings.refinement("frame"))
    return [(a_row("X", base), a_row("SAM2-X", refined))]


def the_atlas(study: Study, pairs: Pairs) -> Atlas:
    found = failure_atlas(study, pairs)
    assert found is not None
    return found


def test_sums_are_those_of_the_label_files(study: Study, pairs: Pairs):
    atlas = the_atlas(study, pairs)
    expected = dict.fromkeys((LABELLED, PUT_RIGHT, "harmed", UNCOVERED), 0)
    for clip in study.dataset:
        covered = {
            part.frame: part.masks().any(0)
            for window in study.masklets.read(clip.name).windows()
            for part in window
        }
        for i in range(clip.num_frames):
            truth: Any = clip.ground_truth(i)
            before, after = (row.run.predictions.read(clip, i) for row in pairs[0])
            under: Any = covered.get(i, np.zeros(truth.shape, np.bool_))
            for at in zip(*np.nonzero(truth != 255), strict=True):
                right = before[at] == truth[at], after[at] == truth[at]
                expected[LABELLED] += 1
                expected[PUT_RIGHT] += right == (False, True)
                expected["harmed"] += right == (True, False)
                expected[UNCOVERED] += not right[0] and not under[at]
    assert atlas.harmed == expected.pop("harmed") > 0
    assert {name: atlas.pixels(name) for name in expected} == expected
    assert sum(atlas.counts["pixels"].tolist()) == atlas.harmed + sum(expected.values())


def test_largest_fragments_come_first_and_are_of_different_masklets(study: Study, pairs: Pairs):
    atlas = the_atlas(study, pairs)
    for cause, part in atlas.fragments.groupby("cause"):
        assert cause in CAUSES
        assert part["pixels"].is_monotonic_decreasing
        assert not part.duplicated(["clip", "window", "masklet"]).any()
    table = fragments_table(study, atlas)
    assert {*table["frame"]} <= {*study.dataset.clips[0].frames}
    assert {*table["right"]} <= {"sky", "road", "car"}
    assert len(table) == len(atlas.fragments)


def test_only_so_many_fragments_of_a_cause_are_kept(
    study: Study, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
):
    every = the_atlas(study, pairs)
    monkeypatch.setattr(atlas_module, "_KEPT", 2)
    few = the_atlas(a_study(Path(study.settings.dataset)), pairs)
    expected = every.fragments.groupby("cause", sort=False).head(2)
    pd.testing.assert_frame_equal(few.fragments, expected.reset_index(drop=True))
    pd.testing.assert_frame_equal(few.counts, every.counts)


def test_second_time_nothing_is_counted(study: Study, pairs: Pairs, tiny_vspw: Path):
    first, again = the_atlas(study, pairs), a_study(tiny_vspw)
    second = the_atlas(again, pairs)
    pd.testing.assert_frame_equal(first.counts, second.counts)
    pd.testing.assert_frame_equal(first.fragments, second.fragments)
    runs = [(run.stage, run.reused) for run in study.log + again.log]
    assert runs == [("failure atlas", 0), ("failure atlas", 2)]


def test_another_overlap_rule_is_counted_anew(study: Study, pairs: Pairs, tiny_vspw: Path):
    first = the_atlas(study, pairs)
    other = a_study(tiny_vspw, overlap="stability")
    assert the_atlas(other, pairs).counts.to_dict() != first.counts.to_dict()
    assert [run.reused for run in other.log] == [0]


def test_frames_without_ground_truth_are_no_part_of_it(study: Study, pairs: Pairs, tiny_vspw: Path):
    whole = the_atlas(study, pairs)
    for mask in tiny_vspw.glob("data/*/mask/*.png"):
        if mask.stem != "00000010":
            mask.unlink()
    atlas = the_atlas(a_study(tiny_vspw), pairs)
    assert 5 * atlas.pixels(LABELLED) == whole.pixels(LABELLED)
    assert 0 < atlas.harmed < whole.harmed
    assert {*atlas.fragments["frame"]} == {2}


def test_a_rule_that_paints_no_masklets_has_an_atlas_too(
    study: Study, pairs: Pairs, tiny_vspw: Path, monkeypatch: pytest.MonkeyPatch
):
    rule = VoteRule(f"{__name__}:all_sky", "everything is sky", title="sky vote", suffix=" (sky)")
    monkeypatch.setitem(VOTES, "sky", rule)
    atlas = the_atlas(a_study(tiny_vspw, votes=["sky"]), pairs)
    assert atlas.causes == ["no masklet"]
    assert figure_atlas(study, atlas).axes


def all_sky(window: Any) -> Any:
    """Refined labels of a rule that knows no masklets."""
    return [window.labels(index) * 0 for index in range(len(window))]


def test_the_table_adds_up_and_the_dearest_cause_is_first(study: Study, pairs: Pairs):
    atlas = the_atlas(study, pairs)
    table = atlas_table(atlas).set_index("Cause")
    assert [*table.index] == [*atlas.causes, PUT_RIGHT, UNCOVERED]
    harm = table.loc[atlas.causes]
    pixels = [int(text.replace(",", "")) for text in harm["Pixels"]]
    assert pixels == sorted(pixels, reverse=True)
    assert sum(pixels) == atlas.harmed
    assert sum(map(float, harm["Of the loss (%)"])) == pytest.approx(100, abs=0.3)
    assert {*table["Most in"]} <= {"first", "second"}
    assert table.loc[PUT_RIGHT, "Fragments"] == "–"


def test_the_reading_has_gain_loss_and_the_causes_of_most(study: Study, pairs: Pairs):
    atlas = the_atlas(study, pairs)
    share = 100 * atlas.harmed / atlas.pixels(LABELLED)
    said = atlas_reading(atlas)
    assert f"spoils {share:.2f} %, mostly by {atlas.causes[0]} (" in said
    assert said.startswith("SAM2-X b puts ")


def test_the_figure_has_a_row_a_cause_around_its_largest_fragment(study: Study, pairs: Pairs):
    atlas = the_atlas(study, pairs)
    axes: list[Any] = figure_atlas(study, atlas).axes
    shares, *examples = axes
    assert [text.get_text() for text in shares.texts[::2]] == atlas.causes
    assert [bar.get_width() for bar in shares.patches] == [
        100 * atlas.pixels(cause) / atlas.harmed for cause in atlas.causes
    ]
    titles = ["frame, masklet", "ground truth", "X b", "SAM2-X b", "changed pixels"]
    assert [text.get_text() for text in examples[0].texts] == titles
    for cause, axis in zip(atlas.causes, examples, strict=True):
        worst = atlas.fragments[atlas.fragments["cause"] == cause].iloc[0]
        assert f"{worst['pixels']} pixels" in axis.get_ylabel()
        assert len(axis.images) == 5
        for place, image in enumerate(axis.images):
            frame, box = (part.get_bbox() for part in axis.patches[2 * place : 2 * place + 2])
            assert frame.width == image.get_array().shape[1]
            assert (box.width, box.height) == (worst["width"] + 2, worst["height"] + 2)
            assert frame.x0 - 1 <= box.x0 < box.x1 <= frame.x1 + 1
            assert frame.y0 - 1 <= box.y0 < box.y1 <= frame.y1 + 1


def test_without_a_run_there_is_no_atlas_and_nothing_breaks(study: Study):
    assert failure_atlas(study, []) is None
    assert not study.log
    assert atlas_table(None).empty
    assert fragments_table(study, None).empty
    assert atlas_reading(None) == ""
    assert "no failures" in figure_atlas(study, None).texts[0].get_text()
