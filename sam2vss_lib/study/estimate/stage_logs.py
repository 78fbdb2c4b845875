"""Times of whole stages, files included, from the logs that finished notebooks leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sam2vss_lib.errors import DataError, first_line
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.storage.files import read_json

#: stages whose work is a frame or a label map of each of their clips
_PER_FRAME = ("convert", "refine", "evaluate", "paint")
_SAMPLED_CLIPS = 3


class Logged(NamedTuple):
    """Mean time of one piece of work, and what measured it."""

    seconds: float
    source: str


def plain(label: str) -> str:
    """A base system's label as both tables and file names have it: letters and digits only."""
    return "".join(filter(str.isalnum, label)).lower()


def logged_seconds(results: Path) -> dict[str, Logged]:
    """Mean seconds of one frame, label map or trained-on frame, by name of the stage.

    Only stages that found nothing to reuse count: others waited, or did a part of the work.

    Args:
        results: of a profile.

    Raises:
        DataError: a notebook's `provenance.json` is not one.

    Returns:
        `refine`, `evaluate`, `paint`, `convert`; `features` of an encoded frame, `classifiers` of a
        frame trained on; `segment <plain label>`. Those that no log has are missing.
    """
    seconds: dict[str, float] = defaultdict(float)
    pieces: dict[str, float] = defaultdict(float)
    devices: dict[str, set[str]] = defaultdict(set)
    for path in sorted(results.glob("[0-9][0-9]_*/provenance.json")):
        provenance = read_json(path)
        try:
            for name, work, taken in _lines(results / "stages", provenance):
                seconds[name] += taken
                pieces[name] += work
                devices[name].add(str(provenance["device"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: not a notebook's provenance ({first_line(error)}); run it again"
            ) from None
    return {
        name: Logged(
            seconds[name] / pieces[name], f"stage logs, {', '.join(sorted(devices[name]))}"
        )
        for name in seconds
        if pieces[name]
    }


def _lines(stages: Path, provenance: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Name, pieces of work and seconds of every stage that computed all of its clips."""
    log: list[dict[str, Any]] = provenance.get("stages", [])
    frames, training = _frames_per_clip(stages, log), _training_frames_per_clip(stages, log)
    stride = provenance.get("settings", {}).get("feature_frame_stride", 1)
    for line in log:
        stage, clips, taken = line["stage"], line["clips"], line["seconds"]
        if line["reused"]:
            continue
        if stage in _PER_FRAME:
            yield stage, clips * frames, taken
        elif stage == "segment":
            yield f"segment {plain(line['key'].rpartition('-')[0])}", clips * frames, taken
        elif stage == "features":
            yield "features", clips * frames / stride, taken
        elif stage == "training features":
            yield "features", clips * training, taken
        elif stage == "classifier":
            yield "classifiers", clips * training, taken


def _frames_per_clip(stages: Path, log: list[dict[str, Any]]) -> float:
    """Mean length of a notebook's clips, as its metrics have it; 0 where it evaluated nothing."""
    for line in log:
        path = stages / "metrics" / line["key"] / "metrics.json"
        if line["stage"] == "evaluate" and path.is_file():
            metrics = read_json(path)
            return metrics["frames"] / metrics["clips"]
    return 0.0


def _training_frames_per_clip(stages: Path, log: list[dict[str, Any]]) -> float:
    """Mean number of frames that a notebook trains on in a clip; 0 where it trains nothing."""
    for line in log:
        if line["stage"] == "training masklets":
            store = MaskletStore(stages / "masklets" / line["key"])
            clips = [path.stem for path in sorted(store.root.glob("*.parquet"))[:_SAMPLED_CLIPS]]
            lengths = [store.metadata(clip)["frames"] for clip in clips]
            return sum(lengths) / len(lengths) if lengths else 0.0
    return 0.0
