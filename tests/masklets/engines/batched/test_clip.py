"""Masklets of a clip by the engine: stock's, alone or together with those of other settings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.masklets.generate import generate_masklets, generate_shared
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from tests.masklets.common import LOOSE, read_plainly

BATCHED = LOOSE.model_copy(update={"engine": "batched"})


def changed(**values: object) -> MaskletSettings:
    return MaskletSettings.model_validate({**BATCHED.model_dump(), **values})


SWEEP = [
    BATCHED,
    changed(window=1),
    changed(window=3),
    changed(window=5),
    changed(points_per_side=4),
    changed(pred_iou_thresh=0.4),
    changed(stability_score_thresh=0.4),
]


@pytest.fixture(scope="module")
def shared(
    demo_model: Sam2Model, small_world: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Stores of all settings of the sweep, `<root>/<index>`, computed together."""
    root = tmp_path_factory.mktemp("shared")
    outs = {settings: root / str(index) for index, settings in enumerate(SWEEP)}
    generate_shared(small_world, demo_model, outs)
    return root


def stored(folder: Path, dataset: Dataset) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    return read_plainly(folder / f"{dataset.clips[0].name}.parquet")


@pytest.mark.parametrize("window", [1, 2, 5])
def test_equals_stock(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path, window: int
) -> None:
    runs = []
    for engine in ("stock", "batched"):
        settings = changed(window=window, engine=engine)
        generate_masklets(small_world, demo_model, settings, tmp_path / engine)
        runs.append(stored(tmp_path / engine, small_world))
    (stock, stock_masks), (ours, our_masks) = runs
    keys = ["window", "anchor", "masklet", "frame", "height", "width"]
    assert ours[keys].equals(stock[keys])
    for column in ("predicted_iou", "stability", "object_score"):
        # stock keeps memories in bfloat16: what differs in the last bit here may differ there
        np.testing.assert_allclose(ours[column], stock[column], atol=2e-2)
    for column in ("rle", "rle_visible"):
        same = (our_masks[column] == stock_masks[column]).mean()
        assert same > 0.9999


@pytest.mark.parametrize("index", range(len(SWEEP)))
def test_settings_computed_together_get_what_each_gets_alone(
    demo_model: Sam2Model, small_world: Dataset, shared: Path, tmp_path: Path, index: int
) -> None:
    generate_masklets(small_world, demo_model, SWEEP[index], tmp_path)
    alone, alone_masks = stored(tmp_path, small_world)
    together, together_masks = stored(shared / str(index), small_world)
    runs = ["rle", "rle_visible"]
    pd.testing.assert_frame_equal(
        together.drop(columns=runs), alone.drop(columns=runs), rtol=0, atol=1e-4
    )
    for column in ("rle", "rle_visible"):
        assert np.array_equal(together_masks[column], alone_masks[column])


def test_sharing_saves_work(demo_model: Sam2Model, small_world: Dataset, tmp_path: Path) -> None:
    outs = {settings: tmp_path / str(index) for index, settings in enumerate(SWEEP)}
    run = generate_shared(small_world, demo_model, outs)
    alone = [run.by_settings[settings] for settings in SWEEP]
    frames = small_world.clips[0].num_frames
    assert run.work.image_encodings == 2 * frames  # each once, and once more as an anchor
    assert run.work.object_frames < 0.7 * sum(one.object_frames for one in alone)
    again = generate_shared(small_world, demo_model, outs)
    assert all(one.reused == 1 for one in again.by_settings.values())
    assert again.work.object_frames == 0


def test_a_missing_store_is_made_beside_those_that_are_there(
    demo_model: Sam2Model, small_world: Dataset, shared: Path, tmp_path: Path
) -> None:
    outs = {BATCHED: shared / "0", SWEEP[5]: tmp_path}
    run = generate_shared(small_world, demo_model, outs)
    assert (run.by_settings[BATCHED].reused, run.by_settings[SWEEP[5]].reused) == (1, 0)
    ours, kept = stored(tmp_path, small_world), stored(shared / "5", small_world)
    assert np.array_equal(ours[1]["rle"], kept[1]["rle"])
