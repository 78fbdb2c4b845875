"""The masklet stage: windows, rows, resuming, and refusal of whatever does not fit."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets.engines.stock import clip as stock
from sam2vss_lib.masklets.engines.stock.propagation import FrameMasks, propagate
from sam2vss_lib.masklets.engines.stock.proposals import ProposalGenerator
from sam2vss_lib.masklets.engines.visible import visible_parts
from sam2vss_lib.masklets.generate import MaskletRun, generate_masklets
from sam2vss_lib.masklets.proposals import Proposals
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.common import LOOSE, forget_what_is_ours, read_plainly


@pytest.fixture(scope="session")
def stored(
    demo_model: Sam2Model, small_world: Dataset, tmp_path_factory
) -> tuple[Path, MaskletRun]:
    """Folder and report of a run with windows of 2 over the 5 frames; not to be changed."""
    out = tmp_path_factory.mktemp("masklets")
    return out, generate_masklets(small_world, demo_model, LOOSE, out)


@pytest.fixture
def own_world(small_world: Dataset, tmp_path: Path) -> Dataset:
    """A copy of the data set, to be changed."""
    shutil.copytree(small_world.root, tmp_path / "world")
    return open_dataset(tmp_path / "world", "val")


@pytest.fixture
def fake_sam2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two masks proposed on every frame but the third; the second one is lost after its anchor."""

    def propose(self: Any, image: np.ndarray) -> Proposals:
        count = 0 if np.array_equal(image, self.without) else 2
        masks = np.zeros((count, *image.shape[:2]), bool)
        masks[:, :10] = True
        scores = np.linspace(0.9, 0.8, count, dtype=np.float32)
        return Proposals(masks, scores, scores)

    def track(model: Any, paths: list[Path], masks: np.ndarray, *, precision: str):
        for offset in range(len(paths)):
            logits = torch.from_numpy(masks).float() - 0.5
            logits[1] -= offset
            yield FrameMasks(offset, logits, np.array([1, -offset], np.float32))

    monkeypatch.setattr(ProposalGenerator, "__call__", propose)
    monkeypatch.setattr(ProposalGenerator, "without", None, raising=False)
    monkeypatch.setattr(stock, "propagate", track)


def rows_of(out: Path, dataset: Dataset) -> pd.DataFrame:
    return pd.read_parquet(out / f"{dataset.clips[0].name}.parquet")


def test_windows_are_disjoint_and_the_last_one_is_shorter(stored, small_world: Dataset) -> None:
    rows = rows_of(stored[0], small_world)
    by_frame = rows.groupby("frame")[["window", "anchor"]].agg(["min", "max"])
    assert by_frame.to_numpy().tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [2, 2, 4, 4],
    ]


def test_one_row_per_masklet_and_frame(stored, small_world: Dataset) -> None:
    rows = rows_of(stored[0], small_world)
    counts = rows.groupby(["window", "masklet"])["frame"].count().to_dict()
    assert [masklet for _, masklet in counts] == list(range(len(counts)))  # unique in the clip
    assert all(count == (2, 2, 1)[window] for (window, _), count in counts.items())
    assert not rows.duplicated(["masklet", "frame"]).any()
    assert rows.equals(rows.sort_values(["window", "frame", "masklet"], ignore_index=True))
    # the scores are the proposal's, on every frame of its masklet
    scores = rows[["masklet", "predicted_iou", "stability"]]
    assert len(scores.drop_duplicates()) == len(counts)


def test_masks_are_those_of_proposing_and_propagating(
    stored, demo_model: Sam2Model, small_world: Dataset
) -> None:
    clip = small_world.clips[0]
    rows, masks = read_plainly(stored[0] / f"{clip.name}.parquet")
    found = ProposalGenerator(demo_model, LOOSE)(clip.frame(2))
    parts = list(propagate(demo_model, [clip.frame_path(2), clip.frame_path(3)], found.masks))
    expected = np.concatenate([(part.logits > 0).numpy() for part in parts])
    second = (rows["window"] == 1).to_numpy()
    assert np.array_equal(masks["rle"][second], expected)
    assert np.array_equal(rows["area"], masks["rle"].sum((1, 2)))
    scores = np.concatenate([part.object_score for part in parts])
    assert rows["object_score"][second].tolist() == scores.tolist()
    assert rows["predicted_iou"][second].tolist() == [*found.predicted_iou, *found.predicted_iou]


def test_visible_parts_are_disjoint_and_cover_the_same(stored, small_world: Dataset) -> None:
    rows, masks = read_plainly(stored[0] / f"{small_world.clips[0].name}.parquet")
    overlapping = 0
    for frame in range(5):
        here = (rows["frame"] == frame).to_numpy()
        full, visible = masks["rle"][here], masks["rle_visible"][here]
        assert (visible <= full).all()
        assert visible.sum(0).max() == 1
        assert np.array_equal(visible.any(0), full.any(0))
        overlapping += (full.sum(0) > 1).sum()
    assert overlapping > 0


def test_visible_part_is_of_the_largest_logit_and_of_the_first_among_equals() -> None:
    logits = torch.tensor([[1.0, 2, 3, -1, -2, 0]]), torch.tensor([[2.0, 2, 1, -2, 1, 0]])
    parts = visible_parts(torch.stack(logits))
    assert parts.int().tolist() == [[[0, 1, 1, 0, 0, 0]], [[1, 0, 0, 0, 1, 0]]]


def test_report_and_metadata(stored, demo_model: Sam2Model, small_world: Dataset) -> None:
    out, run = stored
    name = small_world.clips[0].name
    assert (run.clips, run.reused, run.frames) == (1, 0, 5)
    assert run.masklets == rows_of(out, small_world)["masklet"].max() + 1 > 3
    assert list(run.seconds_by_clip) == [name]
    metadata = MaskletStore(out).metadata(name)
    assert metadata["settings"] == LOOSE.identity()
    assert metadata["settings_sha256"] == LOOSE.sha256()
    assert metadata["checkpoint_sha256"] == demo_model.checkpoint_sha256
    assert metadata["config_sha256"] == demo_model.config_sha256
    assert (metadata["clip"], metadata["frames"]) == (name, 5)


def test_two_runs_give_equal_contents(
    stored, demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    generate_masklets(small_world, demo_model, LOOSE, tmp_path)
    assert rows_of(tmp_path, small_world).equals(rows_of(stored[0], small_world))
    name = small_world.clips[0].name
    assert MaskletStore(tmp_path).metadata(name) == MaskletStore(stored[0]).metadata(name)


def test_finished_clip_is_not_computed_again(
    stored, demo_model: Sam2Model, small_world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored[0] / f"{small_world.clips[0].name}.parquet"
    written = path.stat().st_mtime_ns
    monkeypatch.setattr(stock.StockEngine, "write_clip", None)
    ticks: list[str] = []
    run = generate_masklets(small_world, demo_model, LOOSE, stored[0], progress=ticks.append)
    assert (run.clips, run.reused, run.frames, run.masklets) == (1, 1, 0, 0)
    assert ticks == [path.stem]
    assert path.stat().st_mtime_ns == written


@pytest.mark.usefixtures("fake_sam2")
@pytest.mark.parametrize(
    ("window", "windows"), [(1, [0, 1, 2, 3, 4]), (4, [0, 0, 0, 0, 1]), (32, [0, 0, 0, 0, 0])]
)
def test_any_window_length(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path, window: int, windows: list[int]
) -> None:
    settings = MaskletSettings(window=window, engine="stock")
    generate_masklets(small_world, demo_model, settings, tmp_path)
    rows = rows_of(tmp_path, small_world)
    assert rows["frame"].tolist() == np.repeat(range(5), 2).tolist()
    assert rows["window"].tolist() == np.repeat(windows, 2).tolist()
    assert rows["masklet"].tolist() == [2 * w + i for w in windows for i in (0, 1)]


@pytest.mark.usefixtures("fake_sam2")
def test_lost_masklet_keeps_its_rows(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    generate_masklets(small_world, demo_model, MaskletSettings(window=3, engine="stock"), tmp_path)
    second = rows_of(tmp_path, small_world).query("masklet == 1")
    assert second["area"].tolist() == [3200, 0, 0]
    assert second[["x", "y", "w", "h"]].iloc[1].tolist() == [0, 0, 0, 0]
    assert second["object_score"].tolist() == [0, -1, -2]


@pytest.mark.usefixtures("fake_sam2")
def test_window_and_clip_without_proposals(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = small_world.clips[0]
    monkeypatch.setattr(ProposalGenerator, "without", clip.frame(2))
    generate_masklets(small_world, demo_model, LOOSE, tmp_path / "window")
    rows = rows_of(tmp_path / "window", small_world)
    assert sorted(set(rows["window"])) == [0, 2]
    assert sorted(set(rows["masklet"])) == [0, 1, 2, 3]
    monkeypatch.setattr(ProposalGenerator, "without", clip.frame(0))
    whole = MaskletSettings(window=5, engine="stock")
    run = generate_masklets(small_world, demo_model, whole, tmp_path / "clip")
    assert (run.frames, run.masklets) == (5, 0)
    stored = MaskletStore(tmp_path / "clip").read(clip.name)
    assert (stored.num_frames, list(stored.windows())) == (5, [])
    assert generate_masklets(small_world, demo_model, whole, tmp_path / "clip").reused == 1


@pytest.mark.usefixtures("fake_sam2")
def test_interrupted_run_leaves_no_file_and_resumes(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any):
        yield FrameMasks(0, torch.ones(2, *small_world.clips[0].size), np.ones(2, np.float32))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stock, "propagate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate_masklets(small_world, demo_model, LOOSE, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert generate_masklets(small_world, demo_model, LOOSE, tmp_path).frames == 5


def refused(
    dataset: Dataset, model: Sam2Model, settings: MaskletSettings, out: Path, *words: str
) -> None:
    """Generating fails with one line that says `words`."""
    with pytest.raises(DataError) as caught:
        generate_masklets(dataset, model, settings, out)
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


@pytest.mark.usefixtures("fake_sam2")
def test_masklets_made_with_something_else_are_refused(
    demo_model: Sam2Model, own_world: Dataset, tmp_path: Path
) -> None:
    out, clip = tmp_path / "out", own_world.clips[0]
    generate_masklets(own_world, demo_model, LOOSE, out)
    before = (out / f"{clip.name}.parquet").read_bytes()
    where = (f"{out / clip.name}.parquet: made with other inputs: ", "; use another --out")
    wider = LOOSE.model_copy(update={"window": 3})
    refused(own_world, demo_model, wider, out, *where, "settings.window is 2, not 3")
    other = replace(demo_model, checkpoint_sha256="0" * 64)
    refused(own_world, other, LOOSE, out, *where, "checkpoint_sha256 is ", "not 000000000000...")
    other = replace(demo_model, config_sha256="0" * 64)
    refused(own_world, other, LOOSE, out, *where, "config_sha256 is ", "not 000000000000...")
    path = out / f"{clip.name}.parquet"
    forget_what_is_ours(path)
    refused(own_world, demo_model, LOOSE, out, *where, "config_sha256 is None, not ")
    path.write_bytes(before)
    height, width = clip.size
    Image.new("RGB", (width, height)).save(clip.frame_path(3))
    refused(own_world, demo_model, LOOSE, out, where[0], "frames_sha256 is ", "put them back, or")
    clip.mask_path(4).unlink()
    clip.frame_path(4).unlink()
    shorter = open_dataset(own_world.root, "val")
    refused(shorter, demo_model, LOOSE, out, *where, "frames is 5, not 4")
    assert (out / f"{clip.name}.parquet").read_bytes() == before


@pytest.mark.usefixtures("fake_sam2")
@pytest.mark.parametrize("kept", [0, 3000])
def test_bad_frame_inside_a_window(
    demo_model: Sam2Model, own_world: Dataset, tmp_path: Path, kept: int
) -> None:
    path = own_world.clips[0].frame_path(1)
    path.write_bytes(path.read_bytes()[:kept])
    refused(own_world, demo_model, LOOSE, tmp_path / "out", str(path))
    assert list((tmp_path / "out").rglob("*")) == []


@pytest.mark.usefixtures("fake_sam2")
def test_frame_of_another_size_inside_a_window(
    demo_model: Sam2Model, own_world: Dataset, tmp_path: Path
) -> None:
    path = own_world.clips[0].frame_path(1)
    Image.new("RGB", (100, 80)).save(path)
    refused(own_world, demo_model, LOOSE, tmp_path / "out", str(path), "100")
    assert list((tmp_path / "out").rglob("*")) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_cuda(stored, small_world: Dataset, tmp_path: Path, precision: str) -> None:
    from sam2vss_lib.masklets.sam2 import load_sam2

    settings = LOOSE.model_copy(update={"precision": precision})
    generate_masklets(small_world, load_sam2("demo", device="cuda"), settings, tmp_path)
    name = f"{small_world.clips[0].name}.parquet"
    covered = [read_plainly(out / name)[1]["rle"].any(0) for out in (tmp_path, stored[0])]
    assert (covered[0] & covered[1]).sum() > 0.9 * (covered[0] | covered[1]).sum()
