"""What a fill refuses, what it reuses, and its command."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import Dataset, open_dataset
from sam2vss_lib.errors import DataError, Sam2VssError, SettingsError
from sam2vss_lib.masklets.filling.fill import fill_masklets
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.filling.window import WindowFiller
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from tests.masklets.filling.conftest import FILL, OLD, Filled, left_and_top, write_old

BY_LABELS = FILL.model_copy(update={"prompts": "predictions"})
OPTIONS = [
    *("--checkpoint=demo", "--device=cpu", "--window=3", "--json"),
    *(f"--{n.replace('_', '-')}={v}" for n, v in FILL.model_dump(exclude_defaults=True).items()),
]


@pytest.fixture
def own(filled: Filled, tmp_path: Path) -> Filled:
    """A copy that a test may change."""
    shutil.copytree(filled.old.root, tmp_path / "old")
    shutil.copytree(filled.out, tmp_path / "out")
    return Filled(MaskletStore(tmp_path / "old"), tmp_path / "out", filled.run, [])


@pytest.fixture
def base(small_world: Dataset, tmp_path: Path) -> PredictionFolder:
    """Predictions of four quarters."""
    folder = PredictionFolder(tmp_path / "base", 4)
    (clip,) = small_world
    y, x = np.indices(clip.size)
    labels = (2 * (y > 120) + (x > 160)).astype(np.uint8)
    for t in range(clip.num_frames):
        folder.write(clip, t, labels)
    return folder


def refused(kind: type[Sam2VssError], words: str, *args: Any, **options: Any) -> None:
    with pytest.raises(kind, match=words) as caught:
        fill_masklets(*args, **options)
    assert "\n" not in str(caught.value)


def test_finished_clips_are_reused(
    own: Filled, demo_model: Sam2Model, small_world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WindowFiller, "fill", None)
    before, ticks = own.path(small_world.clips[0]).stat().st_mtime_ns, list[str]()
    run = fill_masklets(small_world, demo_model, OLD, FILL, own.old, own.out, progress=ticks.append)
    assert (run.masklets.clips, run.masklets.reused, run.work.prompts) == (1, 1, 0)
    assert ticks == [small_world.clips[0].name]
    assert own.path(small_world.clips[0]).stat().st_mtime_ns == before


def test_interrupted_run_leaves_no_file_and_resumes(
    filled: Filled,
    demo_model: Sam2Model,
    small_world: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill, calls = WindowFiller.fill, list[int]()

    def stopped(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fill(*args)

    with monkeypatch.context() as patch:
        patch.setattr(WindowFiller, "fill", stopped)
        with pytest.raises(KeyboardInterrupt):
            fill_masklets(small_world, demo_model, OLD, FILL, filled.old, tmp_path)
    assert list(tmp_path.iterdir()) == []
    fill_masklets(small_world, demo_model, OLD, FILL, filled.old, tmp_path)
    name = small_world.clips[0].name
    found, expected = (MaskletStore(out).read(name) for out in (tmp_path, filled.out))
    assert found.metadata == expected.metadata
    assert found.table.equals(expected.table)


def test_what_was_made_from_something_else_is_refused(
    own: Filled, demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    world = (small_world, demo_model, OLD)
    denser = FILL.model_copy(update={"fill_every_frames": 3})
    refused(DataError, "fill_every_frames is 2, not 3; use", *world, denser, own.old, own.out)
    other = write_old(
        small_world, demo_model, tmp_path / "other", lambda c, w: left_and_top(c, w)[:1]
    )
    refused(DataError, "fill.first_masklet is 2, not 1", *world, FILL, other, own.out)
    moved = write_old(
        small_world, demo_model, tmp_path / "moved", lambda c, w: left_and_top(c, w)[:, ::-1]
    )
    refused(DataError, r"fill.source_sha256 is .*; use another", *world, FILL, moved, own.out)
    with pytest.raises(DataError, match=r"fill is \{'checkpoint.*, not None; use another --out"):
        generate_masklets(small_world, demo_model, OLD, own.out)
    own.path(small_world.clips[0]).write_bytes(b"damaged")
    refused(DataError, "no masklet file", *world, FILL, own.old, own.out)


def test_stale_predictions_are_refused(
    own: Filled, demo_model: Sam2Model, small_world: Dataset, base: PredictionFolder, tmp_path: Path
) -> None:
    (clip,), out = small_world, tmp_path / "by-labels"
    given = (small_world, demo_model, OLD, BY_LABELS, own.old, out)
    fill_masklets(*given, predictions=base)
    base.write(clip, 1, np.zeros(clip.size, np.uint8))  # which nothing has read
    assert fill_masklets(*given, predictions=base).masklets.reused == 1
    base.write(clip, 2, np.zeros(clip.size, np.uint8))
    refused(DataError, "fill.predictions_sha256 is", *given, predictions=base)
    base.path(clip, 2).unlink()
    refused(DataError, "00000003.png: not readable", *given, predictions=base)


def test_a_source_that_does_not_fit_is_refused(
    own: Filled, demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    (clip,), new = small_world, tmp_path / "new"
    wider = OLD.model_copy(update={"window": 4})
    asked = (small_world, demo_model)
    refused(DataError, "settings.window is 3, not 4; give", *asked, wider, FILL, own.old, new)
    filled_store = MaskletStore(own.out)
    refused(DataError, "is filled already; fill the store", *asked, OLD, FILL, filled_store, new)
    missing = MaskletStore(tmp_path / "none")
    refused(DataError, "no masklets of clip", *asked, OLD, FILL, missing, new)
    shutil.copytree(small_world.root, tmp_path / "world")
    world = open_dataset(tmp_path / "world", "val")
    height, width = clip.size
    Image.new("RGB", (width, height)).save(world.clips[0].frame_path(1))
    refused(
        DataError, "frames of clip .* were replaced", world, demo_model, OLD, FILL, own.old, new
    )
    assert not new.exists()


def test_windows_that_are_not_of_the_settings_are_refused(
    own: Filled, demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    (clip,) = small_world
    path = own.old.path(clip.name)
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 4), path)  # without the window's last frame
    own.old.checksum_path(clip.name).unlink()
    words = "window 0 has rows on other frames than its 3"
    refused(DataError, words, small_world, demo_model, OLD, FILL, own.old, tmp_path / "new")


def test_settings_that_do_not_go_together(
    own: Filled, demo_model: Sam2Model, small_world: Dataset, base: PredictionFolder
) -> None:
    stock = OLD.model_copy(update={"engine": "stock"})
    given = (small_world, demo_model)
    words = "engine stock: cannot prompt where nothing covers; use engine: batched"
    refused(SettingsError, words, *given, stock, FILL, own.old, own.out)
    same = own.old.root
    refused(SettingsError, "holds the masklets to fill", *given, OLD, FILL, own.old, same)
    words = "prompts: predictions without predictions; give both"
    refused(SettingsError, words, *given, OLD, BY_LABELS, own.old, own.out)
    words = "prompts: grid with predictions"
    refused(SettingsError, words, *given, OLD, FILL, own.old, own.out, predictions=base)


def test_the_command_fills(own: Filled, small_world: Dataset, tmp_path: Path) -> None:
    arguments = ["masklets", f"--dataset={small_world.root}", *OPTIONS, f"--fill={own.old.root}"]
    done = CliRunner().invoke(app, [*arguments, f"--out={tmp_path / 'new'}"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["masklets"] == own.run.masklets.masklets
    assert told["object_frames"] == own.run.work.object_frames
    assert told["uncovered_before_percent"] > told["uncovered_percent"] > 0
    name = small_world.clips[0].name
    found, expected = (MaskletStore(out).metadata(name) for out in (tmp_path / "new", own.out))
    assert found == expected


def test_the_command_prompts_whole_windows_by_predictions(
    small_world: Dataset, base: PredictionFolder, tmp_path: Path
) -> None:
    place = [f"--dataset={small_world.root}", f"--out={tmp_path / 'new'}"]
    asked = ["masklets", *place, *OPTIONS[:4], f"--predictions={base.root}"]
    done = CliRunner().invoke(app, [*asked, "--prompts=predictions"])
    assert done.exit_code == 0, done.output
    stored = MaskletStore(tmp_path / "new").metadata(small_world.clips[0].name)
    assert stored["fill"]["settings"] == FillSettings.whole_windows(OLD).identity()
    assert stored["settings"] == MaskletSettings(window=3).identity()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prompts=predictions"], "prompts: predictions without predictions"),
        (["--predictions=."], "prompts: grid with predictions"),
        (["--fill-every-frames=5"], "only with --fill"),
        (["--fill=."], "no masklets of clip"),
        (["--fill=nowhere"], "nowhere: no such folder (--fill)"),
    ],
)
def test_the_command_refuses_in_one_line(
    small_world: Dataset, tmp_path: Path, options: list[str], words: str
) -> None:
    place = [f"--dataset={small_world.root}", f"--out={tmp_path / 'new'}"]
    done = CliRunner().invoke(app, ["masklets", *place, *OPTIONS[:4], *options])
    assert done.exit_code in (2, 3), done.output
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1
