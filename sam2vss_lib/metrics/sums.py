"""Per-clip sums: all that is kept of the frames, additive, mergeable and small enough to store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.metrics.metric import AnySums, Floats, Sums
from sam2vss_lib.metrics.protocol import PROTOCOL, MetricSettings
from sam2vss_lib.metrics.registry import metric_kinds
from sam2vss_lib.storage.files import atomic_path

FORMAT_VERSION = 1

COVERAGE = ("annotated_frames", "longest_run")
"""Of a clip's `frames`, how many have ground truth, and how many of these at most in a row; kept in
files only where a frame has none."""


def empty_sums(settings: MetricSettings) -> Sums:
    """Zeros of every sum's shape and dtype: (C,) or () int64 counts, () float64 ratio sums."""
    found: Sums = {name: np.zeros((), np.int64) for name in ("frames", *COVERAGE)}
    for kind in metric_kinds():
        found |= kind.zeros(settings)
    return found


@dataclass
class ClipSums:
    """The sums of each clip of a data set, or of a shard, named and shaped as `empty_sums`."""

    settings: MetricSettings  # what they were counted with
    clips: dict[str, Sums] = field(default_factory=dict[str, Sums])

    @property
    def names(self) -> list[str]:
        """The clips in sorted order, the order of every sum, so that merging has none."""
        return sorted(self.clips)

    def stacked(self) -> Sums:
        """The sums with the clips, sorted by name, as first axis: (clips, C) or (clips,)."""
        names = self.names
        return {
            key: np.array([self.clips[name][key] for name in names], zero.dtype).reshape(
                len(names), *zero.shape
            )
            for key, zero in empty_sums(self.settings).items()
        }

    def total(self) -> Sums:
        """The sums over all clips."""
        return {key: values.sum(axis=0) for key, values in self.stacked().items()}

    def merge(self, other: ClipSums) -> None:
        """Take in the clips of another shard.

        Raises:
            SettingsError: the shards were counted with different settings.
            DataError: a clip is in both.
        """
        if self.settings != other.settings:
            raise SettingsError(f"cannot merge metrics of {self.settings} with {other.settings}")
        if twice := sorted(self.clips.keys() & other.clips.keys()):
            raise DataError(f"clip {twice[0]}: counted in both shards, metrics cannot be merged")
        self.clips |= other.clips

    def save(self, path: Path) -> None:
        """Write the sums as one `.npz`, whole or not at all."""
        header = {
            "format_version": FORMAT_VERSION,
            "protocol": PROTOCOL.id,
            "settings": asdict(self.settings),
            "clips": self.names,
        }
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            # The header is bytes: numpy strips trailing NULs from its own string arrays.
            encoded = np.frombuffer(json.dumps(header).encode(), np.uint8)
            sums = self.stacked()
            if np.array_equal(sums["annotated_frames"], sums["frames"]):
                sums = {key: values for key, values in sums.items() if key not in COVERAGE}
            arrays: dict[str, Any] = {"header": encoded, **sums}
            np.savez_compressed(stream, **arrays)

    @classmethod
    def load(cls, path: Path) -> ClipSums:
        """Read sums written by `save`.

        Raises:
            DataError: the file is missing, is no such file, or is of another protocol version.
        """
        try:
            # Opened here because np.load(path) leaks the file when its zip is damaged.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            return cls._from_arrays(arrays)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except Exception as error:  # readers fed arbitrary bytes may raise almost anything
            raise DataError(f"{path}: not a file of metric sums ({error!r})") from None

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ClipSums:
        """Check the arrays of a file and take them apart into clips."""
        header = json.loads(arrays["header"].tobytes())
        found = (header["format_version"], header["protocol"])
        if found != (FORMAT_VERSION, PROTOCOL.id):
            raise ValueError(f"written with format and protocol {found}; evaluate again")
        plain: dict[str, Any] = header["settings"]
        for key in ("window_lengths", "radii_px"):
            plain[key] = tuple(plain[key])
        settings = MetricSettings(**plain)
        names: list[str] = header["clips"]
        if len(set(names)) < len(names):
            raise ValueError("a clip is listed twice")
        expected = empty_sums(settings)
        if not arrays.keys() & {*COVERAGE}:
            arrays = {**arrays, **dict.fromkeys(COVERAGE, arrays["frames"])}
        if arrays.keys() - {"header"} != expected.keys():
            raise ValueError("its sums are not those of its settings")
        for key, zero in expected.items():
            shape, dtype = arrays[key].shape, arrays[key].dtype
            if shape != (len(names), *zero.shape) or dtype != zero.dtype:
                raise ValueError(f"{key} has shape {shape} and dtype {dtype}")
        clips = {name: {k: arrays[k][row] for k in expected} for row, name in enumerate(names)}
        return cls(settings, clips)


def variant_values(sums: AnySums, settings: MetricSettings) -> dict[str, dict[str, Floats]]:
    """Every definition of every metric in percent, of the data set, a clip, or many resamples.

    Sums are named as `empty_sums`, each (..., C) or (...): one set of sums, or a batch of them.

    Returns:
        metric -> definition -> (...) float64 in percent, NaN where it cannot be computed.
    """
    return {
        metric: {name: 100.0 * value for name, value in named.items()}
        for kind in metric_kinds()
        for metric, named in kind.values(sums, settings).items()
    }


def headline_values(sums: AnySums, settings: MetricSettings) -> dict[str, Floats]:
    """The headline definition of every metric; arguments and values as `variant_values`."""
    variants = variant_values(sums, settings)
    headline = PROTOCOL.headline_of(settings)
    return {metric: variants[metric][headline[metric]] for metric in settings.metric_names}
