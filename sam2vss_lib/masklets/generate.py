"""From frames to masklets, clip by clip, into the stores of one or several settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip_overlapping
from sam2vss_lib.masklets.plan import engine_key, passes
from sam2vss_lib.masklets.registry import ENGINES, MaskletEngine, MaskletModel
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MODEL, MaskletStore
from sam2vss_lib.masklets.work import Work


@dataclass
class MaskletRun:
    """What a run of `generate_masklets` did; all but the first two are of what it computed."""

    clips: int = 0  # in the store afterwards
    reused: int = 0  # found complete
    frames: int = 0
    masklets: int = 0
    object_frames: int = 0  # rows: objects propagated times frames, had it run alone
    seconds_by_clip: dict[str, float] = field(default_factory=dict)  # wall time

    def __add__(self, other: MaskletRun) -> MaskletRun:
        """What two runs on different clips did."""
        return MaskletRun(
            self.clips + other.clips,
            self.reused + other.reused,
            self.frames + other.frames,
            self.masklets + other.masklets,
            self.object_frames + other.object_frames,
            self.seconds_by_clip | other.seconds_by_clip,
        )


@dataclass
class SharedRun:
    """What a run of `generate_shared` did."""

    by_settings: dict[MaskletSettings, MaskletRun]  # their times are shared
    work: Work = field(default_factory=Work)  # for all of them together


def generate_masklets(
    dataset: Dataset,
    model: MaskletModel,
    settings: MaskletSettings,
    out: str | Path,
    *,
    max_objects_per_batch: int | None = None,
    progress: Callable[[str], None] = lambda clip: None,
) -> MaskletRun:
    """Compute the masklets of every clip and store them in `out`; finished clips are reused.

    Ground truth is not read. `max_objects_per_batch` objects are propagated together; None finds a
    number. `progress` is called with each clip's name when it is in the store.

    Raises:
        DataError: a frame cannot be read, or the store holds masklets made with other settings,
            another model or other frames.
    """
    run = generate_shared(
        dataset,
        model,
        {settings: Path(out)},
        max_objects_per_batch=max_objects_per_batch,
        progress=progress,
    )
    return run.by_settings[settings]


def generate_shared(
    dataset: Dataset,
    model: MaskletModel,
    outs: Mapping[MaskletSettings, Path],
    *,
    max_objects_per_batch: int | None = None,
    progress: Callable[[str], None] = lambda clip: None,
) -> SharedRun:
    """Compute the masklets of several settings, doing once whatever they have in common.

    The store of every setting, a folder of `outs`, gets what a run of its own would give it. Other
    arguments and errors are those of `generate_masklets`.
    """
    stores = {settings: MaskletStore(out) for settings, out in outs.items()}
    run = SharedRun({settings: MaskletRun() for settings in outs})

    @cache
    def engine(key: Hashable) -> MaskletEngine:
        settings = next(one for one in outs if engine_key(one) == key)
        return ENGINES[settings.engine].load()(model, settings, max_objects_per_batch)

    def work(clip: Clip, finishing: ExitStack) -> None:
        frames_sha256 = clip.frames_sha256()
        made_from = {s: inputs_of(clip, model, s, frames_sha256) for s in outs}
        missing: list[MaskletSettings] = []
        for settings, store in stores.items():
            if store.path(clip.name).is_file():
                store.check_reusable(clip, made_from[settings])
                run.by_settings[settings].reused += 1
            else:
                missing.append(settings)
            run.by_settings[settings].clips += 1
        for group in passes(missing):
            started = time.perf_counter()
            with ExitStack() as stack:
                writers = {
                    s: stack.enter_context(stores[s].writer(clip.name, made_from[s])) for s in group
                }
                run.work += engine(engine_key(group[0])).write_clip(clip, writers)
                finishing.callback(stack.pop_all().close)
            for settings, writer in writers.items():
                done = run.by_settings[settings]
                done.frames += clip.num_frames
                done.masklets += writer.masklets
                done.object_frames += writer.rows
                done.seconds_by_clip[clip.name] = time.perf_counter() - started

    each_clip_overlapping(dataset, [store.root for store in stores.values()], work, progress)
    return run


def inputs_of(
    clip: Clip, model: MaskletModel, settings: MaskletSettings, frames_sha256: str
) -> dict[str, Any]:
    """What the masklets of a clip are made from, as their file records it."""
    return {
        "settings": settings.identity(),
        "settings_sha256": settings.sha256(),
        "checkpoint_sha256": model.checkpoint_sha256,
        "config_sha256": model.config_sha256,
        "clip": clip.name,
        "frames": clip.num_frames,
        "frames_sha256": frames_sha256,
        **({MODEL: dict(model.made_with)} if model.made_with else {}),
    }
