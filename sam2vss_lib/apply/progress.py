"""One bar over all stages, with the time left by what each stage has taken so far."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.predictions.folder import PredictionFolder

Tick = Callable[[str], None]
_SURE = 16  # frames of a stage that tell its pace: some are read long before they are done


@dataclass
class _Pace:
    """How far a stage is; what was found there says nothing about its pace."""

    guess_s: float  # of a frame, before any was done
    left: int  # frames
    done: int = 0
    spent_s: float = 0.0


class Progress:
    """A bar on a terminal; of what is told, the time left is worked out anywhere.

    Args:
        guesses_s: seconds that each stage may take for a frame, until some are done.
        lengths: frames of each clip, by name.
    """

    def __init__(self, guesses_s: Mapping[str, float], lengths: Mapping[str, int]) -> None:
        self._lengths, frames = dict(lengths), sum(lengths.values())
        self._paces = {name: _Pace(guess, frames) for name, guess in guesses_s.items()}

    @contextmanager
    def bar(self) -> Generator[None]:
        """Show the bar while the block runs."""
        layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone{postfix}"
        with tqdm(total=self._seconds(), bar_format=layout, disable=None) as self._bar:
            yield

    def correct(self, lengths: Mapping[str, int]) -> None:
        """Take other lengths, as those were promises, for all stages that have not begun."""
        self._lengths = dict(lengths)
        for pace in self._paces.values():
            pace.left = sum(lengths.values()) if pace.left else 0
        self._bar.total = self._bar.n + self._seconds()

    def _seconds(self) -> float:
        return sum(pace.guess_s * pace.left for pace in self._paces.values())

    @contextmanager
    def stage(self, name: str) -> Generator[tuple[Tick, Tick]]:
        """Yield what is to be told the clip of every frame of a stage, and every clip that is done.

        A clip of which no frame was told was there already; a frame may be told twice.
        """
        pace, told, last = self._paces[name], 0, time.perf_counter()

        def move(frames: int, *, worked: bool) -> None:
            nonlocal last
            now, frames = time.perf_counter(), min(frames, pace.left)
            pace.left -= frames
            if worked:
                pace.done, pace.spent_s = pace.done + frames, pace.spent_s + now - last
            last = now
            self._bar.set_postfix_str(self.left(), refresh=False)
            self._bar.update(pace.guess_s * frames)

        def frame(clip: str) -> None:
            nonlocal told
            if told < self._lengths[clip]:
                told += 1
                move(1, worked=True)

        def clip(name: str) -> None:
            nonlocal told
            move(self._lengths[name] - told, worked=told > 0)
            told = 0

        self._bar.set_description_str(name)
        self._bar.set_postfix_str(self.left())
        yield frame, clip
        move(pace.left, worked=False)

    def left(self) -> str:
        """The time left in words."""
        longest = max(self._paces.values(), key=lambda pace: pace.guess_s)
        if longest.left and longest.done < _SURE:  # most of the time is its, and no guess tells it
            return "time left not known yet"
        seconds = sum(
            pace.left * (pace.spent_s / pace.done if pace.done >= _SURE else pace.guess_s)
            for pace in self._paces.values()
        )
        return f"about {tqdm.format_interval(round(seconds))} left"


@dataclass(frozen=True)
class _WatchedClip(Clip):
    """A clip that tells of every frame that is read."""

    tick: Tick = field(default=lambda clip: None, compare=False)

    def frame(self, i: int) -> NDArray[np.uint8]:
        """See `Clip`."""
        frame = super().frame(i)
        self.tick(self.name)
        return frame


@dataclass(frozen=True)
class _WatchedFolder(PredictionFolder):
    """A folder that tells of every label map that is read or written."""

    tick: Tick = field(default=lambda clip: None, compare=False)

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionFolder`."""
        labels = super().read(clip, i)
        self.tick(clip.name)
        return labels

    def write(
        self, clip: Clip, i: int, labels: Labels, probabilities: NDArray[np.float16] | None = None
    ) -> None:
        """See `PredictionFolder`."""
        super().write(clip, i, labels, probabilities)
        self.tick(clip.name)


def watched(dataset: Dataset, tick: Tick) -> Dataset:
    """The same data set, which calls `tick` whenever a frame is read."""
    clips = (
        _WatchedClip(**{f.name: getattr(clip, f.name) for f in fields(Clip)}, tick=tick)
        for clip in dataset
    )
    return replace(dataset, clips=tuple(clips))


def watched_folder(folder: PredictionFolder, tick: Tick) -> PredictionFolder:
    """The same folder, which calls `tick` whenever a label map is read or written."""
    return _WatchedFolder(folder.root, folder.num_classes, folder.label_offset, tick)
