"""A filled store: the old masklets as they were, and new ones that live from their birth on."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.masklets.engines.batched import frames as frames_module
from sam2vss_lib.masklets.engines.stock.propagation import propagate
from sam2vss_lib.masklets.filling.fill import fill_masklets
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import Overlap, RefineSettings
from sam2vss_lib.widgets.stores import Choice, ClipStores
from tests.masklets.common import read_plainly
from tests.masklets.filling.conftest import FILL, OLD, Filled, left_and_top, write_old

ENDS = {0: 3, 1: 5}  # the frame behind each window


def new_rows(filled: Filled, clip: Clip) -> Any:
    """A table of pandas, whose types say little."""
    rows = pd.read_parquet(filled.path(clip))
    first = MaskletStore(filled.out).metadata(clip.name)["fill"]["first_masklet"]
    return rows[rows["masklet"] >= first]


def test_old_rows_are_unchanged(filled: Filled, small_world: Dataset) -> None:
    (clip,) = small_world
    old = pd.read_parquet(filled.old.path(clip.name))
    out = pd.read_parquet(filled.path(clip))
    assert out.dtypes.equals(old.dtypes)
    kept = out.query("masklet <= @old.masklet.max()").reset_index(drop=True)
    assert kept.equals(old)
    assert out.equals(out.sort_values(["window", "frame", "masklet"], ignore_index=True))


def test_a_masklet_lives_from_its_birth_to_the_end_of_its_window(
    filled: Filled, small_world: Dataset
) -> None:
    (clip,) = small_world
    rows = new_rows(filled, clip)
    assert set(rows["anchor"]) == {0, 2, 3}  # a look every second frame of 0, 1, 2 and of 3, 4
    for (window, _), own in rows.groupby(["window", "masklet"]):
        anchor = own["anchor"].unique()
        assert len(anchor) == 1
        assert own["frame"].tolist() == [*range(3 * window, ENDS[window])]
        unborn = own["frame"] < anchor[0]
        assert (own["area"][unborn] == 0).all()
        assert (own["object_score"][unborn] == -10).all()
        assert own["area"][own["frame"] == anchor[0]].item() > 0
        assert len(own[["predicted_iou", "stability"]].drop_duplicates()) == 1
    assert (rows["predicted_iou"] > FILL.fill_pred_iou_thresh).all()
    assert (rows["stability"] >= FILL.fill_stability_score_thresh).all()


def test_visible_is_what_no_old_one_covers_and_no_other_new_one_has(
    filled: Filled, small_world: Dataset
) -> None:
    (clip,) = small_world
    rows, masks = read_plainly(filled.path(clip))
    new = (rows["masklet"] >= new_rows(filled, clip)["masklet"].min()).to_numpy()
    left = []
    for frame in range(clip.num_frames):
        here = (rows["frame"] == frame).to_numpy()
        old = masks["rle"][here & ~new].any(0)
        full, visible = (masks[name][here & new] for name in ("rle", "rle_visible"))
        assert (visible <= full).all()
        assert visible.sum(0).max() == 1
        assert np.array_equal(visible.any(0), full.any(0) & ~old)
        left.append((~old & ~full.any(0)).sum())
    assert sum(left) == filled.run.uncovered_px < 0.7 * filled.run.uncovered_before_px
    assert filled.run.pixels == clip.num_frames * np.prod(clip.size)


def test_tracks_are_those_of_stock_from_the_same_masks(
    filled: Filled, demo_model: Sam2Model, small_world: Dataset
) -> None:
    (clip,) = small_world
    rows, masks = read_plainly(filled.path(clip))
    births = [group for _, group in new_rows(filled, clip).groupby("anchor")]
    assert len(births) == len(filled.prompted) == 3
    for group, prompted in zip(births, filled.prompted, strict=True):
        birth, window = group["anchor"].iloc[0], group["window"].iloc[0]
        found = prompted.proposals
        assert found.predicted_iou.tolist() == group["predicted_iou"][: len(found.masks)].tolist()
        paths = [clip.frame_path(t) for t in range(birth, ENDS[window])]
        for part in propagate(demo_model, paths, found.masks):
            own = group.index[group["frame"] == birth + part.offset]
            ours, expected = masks["rle"][own], (part.logits > 0).numpy()
            shared, either = (ours & expected).sum((1, 2)), (ours | expected).sum((1, 2))
            assert (shared >= 0.99 * either - 1).all()  # a pixel of a small mask is forgiven
            scores = rows["object_score"][own]
            np.testing.assert_allclose(scores, part.object_score, rtol=1e-3, atol=2e-2)


def test_work_is_counted(filled: Filled, small_world: Dataset) -> None:
    (clip,) = small_world
    rows = new_rows(filled, clip)
    alive = (rows["frame"] >= rows["anchor"]).sum()
    assert filled.run.work == Work(5 + 3, sum(p.prompts for p in filled.prompted), alive)
    assert filled.run.masklets.object_frames == alive
    assert filled.run.masklets.masklets == rows["masklet"].nunique() > 3
    assert (filled.run.masklets.clips, filled.run.masklets.reused) == (1, 0)


def test_a_new_object_does_not_depend_on_who_was_born_before(
    filled: Filled, demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    """Births at the window's first frame alone give the same masklets there."""
    (clip,) = small_world
    once = FILL.model_copy(update={"fill_every_frames": 3})
    fill_masklets(small_world, demo_model, OLD, once, filled.old, tmp_path)
    alone = pd.read_parquet(tmp_path / f"{clip.name}.parquet").query("masklet >= 2")
    assert set(alone["anchor"]) == {0, 3}
    both = new_rows(filled, clip).query("anchor == 0")
    pd.testing.assert_frame_equal(
        both.drop(columns="rle_visible").reset_index(drop=True),
        alone.query("anchor == 0").drop(columns="rle_visible").reset_index(drop=True),
        rtol=0,
        atol=1e-4,
    )


def test_nothing_is_born_or_encoded_where_all_is_covered(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = small_world
    everywhere = write_old(
        small_world, demo_model, tmp_path / "old", lambda clip, _: np.ones((1, *clip.size), bool)
    )
    monkeypatch.setattr(frames_module, "encode", None)
    run = fill_masklets(small_world, demo_model, OLD, FILL, everywhere, tmp_path / "out")
    assert (run.work, run.masklets.masklets, run.uncovered_px) == (Work(), 0, 0)
    out = pd.read_parquet(tmp_path / "out" / f"{clip.name}.parquet")
    assert out.equals(pd.read_parquet(everywhere.path(clip.name)))


def test_a_clip_without_masklets_stays_so_where_nothing_is_found(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    (clip,) = small_world
    empty = write_old(
        small_world, demo_model, tmp_path / "old", lambda clip, _: np.zeros((0, *clip.size), bool)
    )
    strict = FILL.model_copy(update={"fill_pred_iou_thresh": 1.0})
    run = fill_masklets(small_world, demo_model, OLD, strict, empty, tmp_path / "out")
    assert run.work.prompts > 0
    assert run.work.object_frames == run.masklets.masklets == 0
    stored = MaskletStore(tmp_path / "out").read(clip.name)
    assert (stored.num_frames, list(stored.windows())) == (5, [])


@pytest.mark.parametrize("prompts", ["fill", "windows"])
def test_predictions_prompt(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path, prompts: str
) -> None:
    (clip,) = small_world
    base = PredictionFolder(tmp_path / "base", small_world.num_classes)
    for t in range(clip.num_frames):
        base.write(clip, t, clip.ground_truth(t))
    settings, source = FillSettings.whole_windows(OLD), None
    if prompts == "fill":
        settings = FILL.model_copy(update={"prompts": "predictions"})
        source = write_old(small_world, demo_model, tmp_path / "old", left_and_top)
    out = tmp_path / "out"
    run = fill_masklets(small_world, demo_model, OLD, settings, source, out, predictions=base)
    assert run.masklets.masklets > 3
    assert run.uncovered_px < 0.7 * run.uncovered_before_px
    store = MaskletStore(out)
    stored = store.open(clip, overlap="logit")
    assert {*stored.table["anchor"].to_pylist()} == ({0, 3} if source is None else {0, 2, 3})
    assert ("first_masklet", 2 if source else 0) in stored.metadata["fill"].items()
    assert stored.metadata["settings"] == OLD.identity()


@pytest.mark.parametrize("vote", ["frame", "masklet"])
@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_refining_reads_it(
    filled: Filled, small_world: Dataset, tmp_path: Path, vote: str, overlap: Any
) -> None:
    (clip,) = small_world
    base, out = (PredictionFolder(tmp_path / n, small_world.num_classes) for n in ("base", "out"))
    for t in range(clip.num_frames):
        base.write(clip, t, np.indices(clip.size).sum(0).astype(np.uint8) // 40 % 3)
    settings = RefineSettings(vote=vote, overlap=overlap)
    refine(small_world, base, MaskletStore(filled.out), out, settings)
    rows, masks = read_plainly(filled.path(clip))
    changed = [base.read(clip, t) != out.read(clip, t) for t in range(clip.num_frames)]
    assert all(c.any() for c in changed)
    for t, part in enumerate(changed):
        assert not part[~masks["rle"][(rows["frame"] == t).to_numpy()].any(0)].any()


def test_the_explorer_reads_it(filled: Filled, small_world: Dataset) -> None:
    (clip,) = small_world
    stores = ClipStores(clip, [MaskletStore(filled.out), filled.old])
    assert len(stores.settings) == 1
    choice = Choice.of(OLD)._replace(pred_iou_thresh=0.8, stability_score_thresh=0.8)
    opened = stores.opened(choice)
    first, second = opened.windows
    assert opened.kept(first[0], choice)[:2].tolist() == [True, False]
    assert opened.kept(first[0], choice)[2:].all()
    assert opened.kept(second[0], choice).all()
    assert opened.remark(choice).endswith("Masklets that fill gaps stay at any threshold.")
