"""The stage that fills: a store of masklets in, one with more of them where nothing covered out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.filling.prompting import Prompter
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.filling.source import OldWindow, old_masklets
from sam2vss_lib.masklets.filling.window import FilledWindow, WindowFiller
from sam2vss_lib.masklets.generate import MaskletRun, inputs_of
from sam2vss_lib.masklets.rows import SCHEMA, Table
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import FILL, MaskletStore
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.storage.records import sha256_files


class BasePredictions(Protocol):
    """What is asked of a base model's predictions; a `PredictionFolder` answers it."""

    @property
    def label_offset(self) -> int:
        """How files are read."""
        ...

    def path(self, clip: Clip, i: int) -> Path:
        """File of a frame's labels."""
        ...

    def read(self, clip: Clip, i: int) -> Labels:
        """Labels of a frame, (H, W) uint8, 255 being none."""
        ...

    def check_frames(self, clip: Clip, found: str | None = None) -> None:
        """Refuse labels of other frames than those of the hash that is found."""
        ...


@dataclass
class FillRun:
    """What a run of `fill_masklets` did; all but the clips are of what it computed."""

    #: new masklets, and their frames from birth on
    masklets: MaskletRun = field(default_factory=MaskletRun)
    work: Work = field(default_factory=Work)
    pixels: int = 0  # of all frames
    uncovered_before_px: int = 0
    uncovered_px: int = 0

    def __add__(self, other: FillRun) -> FillRun:
        """What two runs on different clips did."""
        return FillRun(
            self.masklets + other.masklets,
            self.work + other.work,
            self.pixels + other.pixels,
            self.uncovered_before_px + other.uncovered_before_px,
            self.uncovered_px + other.uncovered_px,
        )

    def add(
        self, covered: Mapping[int, NDArray[np.bool_]], filled: FilledWindow, frames: range
    ) -> None:
        """Count what became of a window, of which so much was covered before, by frame."""
        self.work += filled.work
        self.masklets.frames += len(frames)
        self.masklets.masklets += filled.masklets
        for birth in filled.births:
            self.masklets.object_frames += len(birth.found.masks) * (frames.stop - birth.frame)
        for frame, mask in covered.items():
            before = int(np.count_nonzero(mask))
            self.pixels += mask.size
            self.uncovered_before_px += mask.size - before
            self.uncovered_px += mask.size - filled.covered_px.get(frame, before)


def fill_masklets(
    dataset: Dataset,
    model: Sam2Model,
    masklets: MaskletSettings,
    settings: FillSettings,
    source: MaskletStore | None,
    out: str | Path,
    *,
    predictions: BasePredictions | None = None,
    max_objects_per_batch: int | None = None,
    progress: Callable[[str], None] = lambda clip: None,
) -> FillRun:
    """Store the masklets of `source`, and new ones where those do not cover; clips are reused.

    The masklets of `source` are copied, not computed. `masklets` are the settings that they were
    made with; without a source nothing is covered, and only what prompts now makes masklets. What
    is new in a window lives from its birth, the frame that `anchor` tells, to the window's end, and
    is numbered behind the clip's old masklets. Only the settings' `prompts` "predictions" take
    predictions. Ground truth is not read; all else is as of `generate_masklets`.

    Raises:
        DataError: a frame, a masklet file or a prediction cannot be read or is of other frames, the
            source was made with other settings or is filled already, or the store holds something
            made from other inputs.
        SettingsError: the engine cannot fill, `out` is the source's folder, or there are
            predictions where none are read, or none where some are.
    """
    _check(masklets, settings, source, Path(out), predictions)
    store, run = MaskletStore(out), FillRun()

    @cache
    def filler() -> WindowFiller:
        tracker = WindowTracker(
            model,
            max_objects_per_batch=max_objects_per_batch,
            precision=masklets.precision,
            approximations=masklets,
        )
        return WindowFiller(tracker, Prompter(tracker.model, masklets, settings), masklets)

    def labels(clip: Clip, frame: int) -> Labels | None:
        return predictions.read(clip, frame) if predictions is not None else None

    def work(clip: Clip) -> bool:
        old, frames_sha256 = old_masklets(source, clip, masklets), clip.frames_sha256()
        births = [w.frames[:: settings.fill_every_frames] for w in old.windows]
        fill: dict[str, Any] = {
            "settings": settings.identity(),
            "checkpoint_sha256": model.checkpoint_sha256,
            "config_sha256": model.config_sha256,
            "source_sha256": sha256_files([source.path(clip.name)]) if source else None,
            "first_masklet": old.next_masklet,
        }
        if predictions is not None:
            predictions.check_frames(clip, frames_sha256)
            read = (predictions.path(clip, t) for frames in births for t in frames)
            fill["predictions_sha256"] = sha256_files(read)
            fill["predictions_label_offset"] = predictions.label_offset
        base = old.made_from or inputs_of(clip, model, masklets, frames_sha256)
        made_from = {**base, "frames_sha256": frames_sha256, FILL: fill}
        run.masklets.clips += 1
        if found := store.path(clip.name).is_file():
            store.check_reusable(clip, made_from)
            run.masklets.reused += 1
            return found
        started, first = time.perf_counter(), old.next_masklet
        with store.writer(clip.name, made_from) as writer:
            for window, frames in zip(old.windows, births, strict=True):
                covered = window.covered(clip.size)
                filled = filler().fill(clip, frames, covered, partial(labels, clip))
                if window.parts or filled.masklets:
                    writer.copy(_rows(window, filled, first, clip.size))
                first += filled.masklets
                run.add(covered, filled, window.frames)
        run.masklets.seconds_by_clip[clip.name] = time.perf_counter() - started
        return found

    each_clip(dataset, [store.root], work, progress)
    return run


def _check(
    masklets: MaskletSettings,
    settings: FillSettings,
    source: MaskletStore | None,
    out: Path,
    predictions: BasePredictions | None,
) -> None:
    """Refuse what does not go together.

    Raises:
        SettingsError: the first thing that does not.
    """
    if masklets.engine != "batched":
        raise SettingsError(
            f"engine {masklets.engine}: cannot prompt where nothing covers; use engine: batched"
        )
    if (settings.prompts == "predictions") != (predictions is not None):
        raise SettingsError(
            f"prompts: {settings.prompts} with{'' if predictions else 'out'} predictions; give "
            "both --prompts predictions and --predictions, or neither"
        )
    if source is not None and source.root.resolve() == out.resolve():
        raise SettingsError(f"{out}: holds the masklets to fill; choose another --out")


def _rows(window: OldWindow, filled: FilledWindow, first: int, size_px: tuple[int, int]) -> Table:
    """A window's rows, old and new, as in `SCHEMA`."""
    tables = list[Table]()
    for number, frame in enumerate(window.frames):
        if window.parts:
            tables.append(window.parts[number].rows)
        if filled.masklets:
            rows = filled.rows(frame, first, size_px)
            index = pa.array([window.index] * rows.num_rows, SCHEMA.field("window").type)
            tables.append(rows.append_column("window", index).select(SCHEMA.names))
    return pa.concat_tables(tables)
