"""A vote rule or an engine from outside the package is a function or class and one line here."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import Clip, open_dataset
from sam2vss_lib.masklets.registry import ENGINES, EngineEntry
from sam2vss_lib.masklets.rows import encode_masks, mask_columns
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.masklets.writer import ClipWriter
from sam2vss_lib.metrics.registry import METRICS
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.registry import VOTES, VoteRule
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.refinement.window import Window
from sam2vss_lib.registry import Registry
from tests.conftest import TINY_CLIPS, TINY_FRAMES, TINY_SIZE
from tests.masklets.common import write_masklets

README = Path(__file__).resolve().parents[1] / "README.md"
RARE = 2  # a class that wins no vote of the tiny data set's left half


def rarest_wins(window: Window) -> Iterator[np.ndarray]:
    """A toy vote rule: of the classes under it, a masklet takes the one with fewest pixels."""
    for index in range(len(window)):
        votes = window.votes(index)
        fewest = np.where(votes > 0, votes, votes.max() + 1).argmin(1)
        yield window.painted(index, fewest.astype(np.uint8))


class LeftHalf:
    """A toy engine: in every window one masklet, the left half of each frame."""

    def __init__(
        self, model: Sam2Model, settings: MaskletSettings, max_objects_per_batch: int | None
    ) -> None:
        assert model.name == "demo"

    def write_clip(self, clip: Clip, writers: Mapping[MaskletSettings, ClipWriter]) -> Work:
        ((settings, writer),) = writers.items()
        mask, score = left_half(), np.ones(1, np.float32)
        for frame in range(clip.num_frames):
            window = frame // settings.window
            writer.add(
                mask_columns(mask),
                encode_masks(mask),
                window=window,
                anchor=window * settings.window,
                frame=frame,
                predicted_iou=score,
                stability=score,
                object_score=score,
            )
        return Work(object_frames=clip.num_frames)


def left_half() -> np.ndarray:
    """(1, H, W) bool."""
    mask = np.zeros((1, *TINY_SIZE), bool)
    mask[:, :, : TINY_SIZE[1] // 2] = True
    return mask


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = VoteRule(
        f"{__name__}:rarest_wins", "the rarest class wins", title="toy", suffix=" (toy)"
    )
    monkeypatch.setitem(VOTES, "rarest", rule)
    engine = EngineEntry(f"{__name__}:LeftHalf", "the left half of every frame")
    monkeypatch.setitem(ENGINES, "left-half", engine)


def call(command: str, root: Path, *options: object) -> Result:
    words = [command, f"--dataset={root}", "--device=cpu", *options]
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.mark.usefixtures("toys")
def test_vote_rule_from_outside_refines(tiny_vspw: Path, perfect_predictions: Path) -> None:
    store = MaskletStore(tiny_vspw.parent / "masklets")
    windows = [np.repeat(left_half()[None], len(TINY_FRAMES), 0)]
    for clip in TINY_CLIPS:
        write_masklets(store, clip, windows, [np.ones((2, 1), np.float32)])
    out = tiny_vspw.parent / "refined"
    options = [f"--predictions={perfect_predictions}", "--label-offset=1", f"--out={out}"]
    done = call("refine", tiny_vspw, *options, f"--masklets={store.root}", "--vote=rarest")
    assert done.exit_code == 0, done.output
    (clip, _), classes = open_dataset(tiny_vspw, "val"), 3
    before = PredictionFolder(perfect_predictions, classes, 1).read(clip, 0)
    after = PredictionFolder(out, classes, 1).read(clip, 0)
    half = left_half()[0]
    counts = np.bincount(before[half], minlength=classes)[:classes]
    assert counts[RARE] == counts.min() > 0
    assert (after[half] == RARE).all()
    assert np.array_equal(after[~half], before[~half])


@pytest.mark.usefixtures("toys")
def test_engine_from_outside_makes_masklets(tiny_vspw: Path) -> None:
    out = tiny_vspw.parent / "masklets"
    done = call(
        "masklets",
        tiny_vspw,
        "--checkpoint=demo",
        f"--out={out}",
        "--engine=left-half",
        "--window=2",
    )
    assert done.exit_code == 0, done.output
    stored = MaskletStore(out).read(TINY_CLIPS[0])
    assert stored.metadata["settings"]["engine"] == "left-half"
    frames = [part for window in stored.windows() for part in window]
    assert [part.frame for part in frames] == list(range(len(TINY_FRAMES)))
    assert all(np.array_equal(part.masks(), left_half()) for part in frames)


@pytest.mark.usefixtures("toys")
def test_unknown_names_are_answered_with_those_from_outside_too(tiny_vspw: Path) -> None:
    for said, command, *options in (
        (f"engine 'none'; known are: {', '.join(ENGINES)}", "masklets", "--engine=none"),
        (f"vote 'none'; known are: {', '.join(VOTES)}", "refine", "--vote=none"),
    ):
        inputs = {"masklets": ["--checkpoint=demo"], "refine": ["--predictions=a", "--masklets=b"]}
        failed = call(command, tiny_vspw, *inputs[command], *options, "--out=no")
        assert failed.exit_code == 2
        assert f"unknown {said}" in " ".join(failed.output.split())


def test_settings_take_what_is_registered_and_nothing_else(request: pytest.FixtureRequest) -> None:
    with pytest.raises(ValueError, match="unknown vote"):
        RefineSettings(vote="rarest")
    with pytest.raises(ValueError, match="unknown engine"):
        MaskletSettings(engine="left-half")
    request.getfixturevalue("toys")
    assert RefineSettings(vote="rarest").vote == "rarest"
    assert MaskletSettings(engine="left-half").engine == "left-half"
    with pytest.raises(ValueError, match="left-half has no such approximation"):
        MaskletSettings(engine="left-half", merge_iou=0.7)


@pytest.mark.parametrize(
    ("kind", "registry"),
    [("vote rules", VOTES), ("masklet engines", ENGINES), ("metrics", METRICS)],
)
def test_readme_lists_what_is_registered(kind: str, registry: Registry) -> None:
    line = re.search(rf"^- {kind}: (.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert line, f"README.md has no line '- {kind}: ...'"
    assert re.findall(r"`([\w:-]+)`", line[1]) == list(registry)
