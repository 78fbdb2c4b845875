"""The plan of shared masklets: counts that can be checked by hand, and what is derived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.masklets.plan import describe_plan, planned_work, proposals_from, work_alone
from sam2vss_lib.masklets.settings import MaskletSettings

#: Tables 4 to 7, without repeating the default
ABLATIONS = [
    *(MaskletSettings(window=w) for w in (1, 2, 4, 8, 10, 16, 32)),
    *(MaskletSettings(points_per_side=g) for g in (8, 32, 64)),
    *(MaskletSettings(pred_iou_thresh=t) for t in (0.4, 0.5, 0.7, 0.8, 0.9)),
    *(MaskletSettings(stability_score_thresh=t) for t in (0.4, 0.5, 0.6, 0.7, 0.9)),
]


def test_one_setting_costs_its_frames_its_anchors_and_its_grid():
    work = planned_work([40, 7], [MaskletSettings(window=32, points_per_side=4)])
    assert work.image_encodings == 40 + 7 + 3
    assert work.prompts == 3 * 16


def test_anchors_and_grids_are_counted_once():
    settings = [MaskletSettings(window=w, points_per_side=4) for w in (2, 4, 5)]
    work = planned_work([10], settings)
    assert work.image_encodings == 10 + len({0, 2, 4, 6, 8, 5})
    assert work.prompts == 6 * 16


def test_the_ablations_take_a_tenth_of_the_encodings():
    clips = [70] * 5
    together, alone = planned_work(clips, ABLATIONS), work_alone(clips, ABLATIONS)
    assert together.image_encodings <= 0.1 * alone.image_encodings
    assert together.prompts < 0.75 * alone.prompts


def test_thresholds_and_longer_windows_need_no_prompts_of_their_own():
    default = MaskletSettings()
    assert proposals_from(MaskletSettings(pred_iou_thresh=0.9), [default]) == default
    assert proposals_from(default, [MaskletSettings(window=8)]) == MaskletSettings(window=8)
    assert proposals_from(MaskletSettings(window=8), [default]) is None
    assert proposals_from(MaskletSettings(points_per_side=8), [default]) is None
    assert proposals_from(MaskletSettings(stability_score_offset=1.0), [default]) is None


def test_the_plan_says_what_is_prompted_and_what_is_derived():
    text = describe_plan([40] * 8, ABLATIONS)
    assert text.startswith("masklets of 20 settings on 8 clips, 320 frames")
    assert "16x16 points every 1 frames; 8x8 points every 32 frames" in text
    assert "16 settings select from these prompts' masks" in text


@given(
    frames=st.lists(st.integers(1, 50), min_size=1, max_size=4),
    windows=st.lists(st.integers(1, 40), min_size=1, max_size=5, unique=True),
)
@pytest.mark.parametrize("side", [4, 8])
def test_together_never_takes_more_than_apart(frames: list[int], windows: list[int], side: int):
    settings = [MaskletSettings(window=w, points_per_side=side) for w in windows]
    together, alone = planned_work(frames, settings), work_alone(frames, settings)
    assert together.image_encodings <= alone.image_encodings
    assert together.prompts <= alone.prompts
    assert together.image_encodings >= sum(frames)
