"""Filtered masklets are those of a run of SAM2, or it is said that they may differ."""

import pytest

from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.widgets.stores import Choice, ClipStores, OpenedMasklets
from tests.widgets.conftest import LOOSE, THRESHOLDS, World, settings_at


def rows_of(opened: OpenedMasklets, choice: Choice) -> list[list[tuple[bytes, float, float]]]:
    """Mask and scores of the chosen masklets in their order, frame by frame."""
    found: list[list[tuple[bytes, float, float]]] = []
    for parts in opened.windows:
        for part in parts:
            columns = ("rle", "predicted_iou", "stability")
            lines = zip(*(part.rows[name].to_pylist() for name in columns), strict=True)
            kept = opened.kept(part, choice)
            found.append([line for line, keep in zip(lines, kept, strict=True) if keep])
    return found


def opened(world: World, settings: MaskletSettings, choice: Choice) -> OpenedMasklets:
    (clip,) = world.dataset
    return ClipStores(clip, [world.fresh[settings]]).opened(choice)


@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_raising_thresholds_gives_what_sam2_gives_wherever_it_is_said(
    world: World, thresholds: tuple[float, float]
) -> None:
    choice = Choice.of(settings_at(*thresholds))
    loose = opened(world, LOOSE, choice)
    anew = opened(world, settings_at(*thresholds), choice)
    same = rows_of(loose, choice) == rows_of(anew, choice)
    assert anew.remark(choice).startswith("As stored")
    said = loose.remark(choice)
    assert same or said.startswith("May differ")
    if thresholds[1] == LOOSE.stability_score_thresh:
        assert same
        assert said.startswith(("As stored", "Equals a run"))


def test_predicted_iou_and_stability_remove_something_here(world: World) -> None:
    counts = {
        t: len(
            rows_of(opened(world, LOOSE, Choice.of(settings_at(*t))), Choice.of(settings_at(*t)))[0]
        )
        for t in THRESHOLDS
    }
    assert counts[0.2, 0.2] > counts[0.5, 0.2] > counts[0.8, 0.2] > 0
    assert counts[0.2, 0.2] > counts[0.2, 0.95] > 0


def test_a_less_stable_masklet_may_have_suppressed_one_that_would_be_kept(world: World) -> None:
    """Why raising the stability of stored masklets is not always what SAM2 would give."""
    differing = []
    for thresholds in THRESHOLDS:
        choice = Choice.of(settings_at(*thresholds))
        loose, anew = (opened(world, s, choice) for s in (LOOSE, settings_at(*thresholds)))
        if rows_of(loose, choice) != rows_of(anew, choice):
            differing.append(thresholds)
    assert differing
    assert all(stability > LOOSE.stability_score_thresh for _, stability in differing)


def test_the_nearest_store_below_serves(world: World) -> None:
    (clip,) = world.dataset
    stores = ClipStores(clip, world.fresh.values())
    asked = Choice.of(settings_at(0.3, 0.94))
    assert stores.serving(asked) == settings_at(0.2, 0.9)
    assert stores.opened(asked).remark(asked).startswith("May differ")
    exact = Choice.of(settings_at(0.7, 0.8))
    assert stores.opened(exact).remark(exact).startswith("Equals a run of SAM2")
    below = Choice.of(settings_at(0.1, 0.9))
    assert stores.serving(below).pred_iou_thresh == 0.2
    assert "can only go up" in stores.opened(below).remark(below)
    assert stores.grids() == [(3, 6), (5, 6)]
    assert stores.least((3, 6)) == (0.2, 0.2)


def test_logit_says_what_is_shown_where_the_winner_is_left_out(world: World) -> None:
    choice = Choice.of(settings_at(0.5, 0.2), overlap="logit")
    assert "largest logit" in opened(world, LOOSE, choice).remark(choice)
    stored = Choice.of(LOOSE, overlap="logit")
    assert "largest logit" not in opened(world, LOOSE, stored).remark(stored)
