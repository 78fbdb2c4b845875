"""What notebooks ask of clips: how many clips, how long, and which pieces they have in common."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sam2vss_lib.errors import Sam2VssError
from sam2vss_lib.study.estimate.workload import ClipWork, clip_lengths, study_workload
from sam2vss_lib.study.run.planning import plan_study
from sam2vss_lib.study.run.runner import find_notebooks
from sam2vss_lib.study.settings import load_profile
from tests.study.estimate.plans import SETTINGS


def planned(
    out: Path, notebooks: str, overrides: dict[str, Any], *scale: int | None
) -> list[ClipWork]:
    """Work of these notebooks of the demo profile."""
    plans = plan_study(find_notebooks(notebooks), "demo", out, overrides)
    return study_workload(plans, *(scale or (None, None)))


def test_clips_that_fewer_notebooks_use_get_less_work(tmp_path: Path):
    few = load_profile("demo", "04")["max_clips"]
    for clips, parts in (
        (2, [(2, 2)]),
        (few + 5, [(few, 2), (5, 1)]),
        (10**6, [(few, 2), (10**6 - few, 1)]),
    ):
        work = planned(tmp_path, "01,04", {}, clips, None)
        assert [(sum(one.lengths.values()), len(one.asked)) for one in work] == parts
        assert {one.source for one in work} == {f"{clips:,} clips of 40 frames, on paper"}
    assert planned(tmp_path, "08,10", {}) == []


def test_lengths_of_clips_repeat_on_paper_or_are_all_the_same(tmp_path: Path):
    for clip, frames in (("a", 3), ("b", 2)):
        folder = tmp_path / "data" / clip / "origin"
        folder.mkdir(parents=True)
        for frame in range(frames):
            (folder / f"{frame:08d}.jpg").touch()
    (tmp_path / "val.txt").write_text("b\na\n")
    overrides = {"dataset": str(tmp_path)}
    (work,) = planned(tmp_path, "01", overrides)
    assert work.lengths == {2: 1, 3: 1}
    assert work.source.endswith("val, counted on disk")
    assert planned(tmp_path, "01", overrides, 5, None)[0].lengths == {2: 3, 3: 2}
    assert planned(tmp_path, "01", overrides, None, 7)[0].lengths == {7: 2}
    assert planned(tmp_path, "01", overrides, 4, 7)[0].source == "4 clips of 7 frames, on paper"


def test_equal_pieces_of_two_notebooks_are_equal(tmp_path: Path):
    systems = [
        {"method": "S", "backbone": "a", "segmentor": "s"},
        {"method": "P", "backbone": "b", "predictions": "p"},
    ]
    overrides = {"base_systems": systems, "sweep_values": [1, 32], "max_clips": 2}
    (work,) = planned(tmp_path, "01,04", overrides)
    main, window = ({*asked} for asked in work.asked)
    # 01 has two systems by two votes with one window; 04 one by one with two, one of them 01's
    assert Counter(one.stage for one in main) == {
        "masklets": 1, "segment: S a": 1, "refine": 4, "evaluate": 6,
    }  # fmt: skip
    assert Counter(one.stage for one in window) == {
        "masklets": 2, "segment: S a": 1, "refine": 2, "evaluate": 3,
    }  # fmt: skip
    assert Counter(one.stage for one in main & window) == {
        "masklets": 1, "segment: S a": 1, "refine": 1, "evaluate": 2,
    }  # fmt: skip


def test_classified_masklets_are_painted_for_every_seed(tmp_path: Path):
    encoders = [
        {"method": "I-S", "backbone": "a", "encoder": "s@all", "base": "S a"},
        {"method": "I-N", "backbone": "a", "encoder": None, "base": "S a"},
    ]
    systems = [
        {"method": "S", "backbone": "a", "predictions": "p"},
        {"method": "S", "backbone": "b", "predictions": "q"},
    ]
    overrides = {
        "encoders": encoders, "base_systems": systems, "classifier_seeds": [0, 1, 2],
        "max_clips": 1, "train_clips": 4, "train_frame_step": 8, "feature_frame_stride": 4,
    }  # fmt: skip
    measured, training = sorted(
        planned(tmp_path, "03", overrides), key=lambda one: -max(one.lengths)
    )
    assert training.lengths == {2: 4}  # 16 frames, every eighth
    assert Counter(one.stage for one in training.asked[0]) == {"masklets": 1, "features": 1}
    assert measured.lengths == {40: 1}
    counted = Counter(one.stage for one in {*measured.asked[0]})
    # three seeds and the true classes, alone and filled; evaluated as is the one base system used
    assert counted == {"masklets": 1, "features": 1, "paint": 8, "evaluate": 9}
    assert {one.every for one in measured.asked[0] if one.stage == "features"} == {4}


def test_what_goes_beyond_the_paper_counts_its_own_passes(tmp_path: Path):
    plans = plan_study(find_notebooks("09"), "beyond", tmp_path, {"max_clips": 3})
    fitted, measured, other = (Counter(one.stage for one in part.asked[0]) for part in
                               sorted(study_workload(plans, None, None), key=_on_what))  # fmt: skip
    models = {f"segment: {one}": 1 for one in (
        "SegFormer micro", "SegFormer mini", "CFFM micro", "TV3S micro")}  # fmt: skip
    assert fitted == {"masklets": 1, "evidence": 4, **models}
    # frame, soft and ensemble vote are evaluated, adaptive only says what its gate found; the
    # evidence is gone through once with the masklets of the grid and once with the filled ones
    assert measured == {
        "masklets": 1, "fill": 1, "refine": 16, "evaluate": 12, "weigh": 8, **models,
    }  # fmt: skip
    assert other == {"masklets": 1, "weigh": 1, "segment: SegFormer micro": 1}


def _on_what(work: ClipWork) -> int:
    return ["demo fit", "demo val-wide", "demo-b val"].index(work.source.partition(",")[0])


def test_published_sizes_stand_in_for_a_data_set_that_is_not_there(tmp_path: Path):
    def lengths(dataset: str, split: str = "val") -> tuple[list[int], str]:
        found = clip_lengths(SETTINGS.model_copy(update={"dataset": dataset}), split)
        return found[0].tolist(), found[1]

    vspw, source = lengths(str(tmp_path / "VSPW_480p"))
    assert (len(vspw), sum(vspw), {*vspw}) == (343, 24_502, {71, 72})
    assert "is not there; published: 343 clips, 24,502 frames" in source
    vipseg, _ = lengths(str(tmp_path / "VIPSeg"))
    assert sum(vipseg) == round(84_750 * 343 / 3536)  # as long as the mean of all splits
    for dataset, split in ((str(tmp_path / "other"), "val"), ("VSPW", "nosuch"), ("demo", "test")):
        with pytest.raises(Sam2VssError, match=split):
            lengths(dataset, split)
