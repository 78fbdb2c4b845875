"""How often each stage runs on a clip, and the bytes that it reads and writes there."""

from __future__ import annotations

from collections.abc import Sequence

from sam2vss_lib.masklets.plan import passes, planned_work
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.estimate.unit_costs import UnitCosts
from sam2vss_lib.study.estimate.workload import Asked, Pooling, together


def shared_counts(asked: Sequence[Asked], num_frames: int, costs: UnitCosts) -> dict[str, float]:
    """Work on a clip for several notebooks, what they have in common once.

    Args:
        asked: by each of the notebooks.
        num_frames: of the clip.
        costs: for the number of objects, which only a model can say.

    Returns:
        Pieces of work by stage, in the units of `estimate.STAGES`.
    """
    merged = together(asked)
    return _counts(merged, passes(merged.masklets), num_frames, costs)


def counts_alone(asked: Asked, num_frames: int, costs: UnitCosts) -> dict[str, float]:
    """The same for one notebook by itself, each of its settings by itself."""
    return _counts(asked, [[one] for one in asked.masklets], num_frames, costs)


def _counts(
    asked: Asked,
    groups: Sequence[Sequence[MaskletSettings]],
    num_frames: int,
    costs: UnitCosts,
) -> dict[str, float]:
    work = [planned_work([num_frames], group) for group in groups]
    objects = num_frames * sum(costs.followed(group) for group in groups)
    return {
        "decode": num_frames * len(groups),
        "encode": sum(one.image_encodings for one in work),
        "propose": sum(one.prompts for one in work),
        "track frame": sum(frames_in_windows(num_frames, group) for group in groups),
        "track object": objects,
        "store": objects,
        **{f"segment {label}": num_frames for label in sorted(asked.segmented)},
        "convert": num_frames * len(asked.converted),
        "refine": num_frames * len(asked.refined),
        "evaluate": num_frames * len(asked.evaluated),
        "features": sum(encoded_frames(num_frames, one) for one in asked.pooled),
        "paint": num_frames * len(asked.painted),
    }


def frames_in_windows(num_frames: int, settings: Sequence[MaskletSettings]) -> int:
    """Frames that objects are followed through, counted for each anchor that has objects.

    Args:
        num_frames: of the clip.
        settings: which share a pass; an anchor is followed as far as its longest window goes.
    """
    longest: dict[int, int] = {}
    for one in settings:
        for anchor in range(0, num_frames, one.window):
            longest[anchor] = max(longest.get(anchor, 0), min(one.window, num_frames - anchor))
    return sum(longest.values())


def encoded_frames(num_frames: int, pooled: Pooling) -> int:
    """Frames that features are taken from: every n-th of each window, from its first."""
    whole, rest = divmod(num_frames, pooled.masklets.window)
    return whole * -(-pooled.masklets.window // pooled.stride) + -(-rest // pooled.stride)


def stored_bytes(asked: Sequence[Asked], num_frames: int, costs: UnitCosts) -> dict[str, float]:
    """Bytes on disk of a clip afterwards, by store; NaN where a size was not measured."""
    merged = together(asked)
    rows = sum(costs.objects_of(one) for one in merged.masklets)
    features = sum(_feature_rows(num_frames, one, costs) for one in merged.pooled)
    base = len(merged.segmented) + len(merged.converted)
    return {
        "masklets": costs.size("masklet row", num_frames * rows),
        "base": costs.size("label map", num_frames * base),
        "refined": costs.size("label map", num_frames * len(merged.refined)),
        "features": costs.size("feature row", features),
        "independent": costs.size("label map", num_frames * len(merged.painted)),
        "metrics": costs.size("metrics", len(merged.evaluated)),
    }


def read_bytes(asked: Sequence[Asked], num_frames: int, costs: UnitCosts) -> float:
    """Bytes that stages read of a clip, were nothing kept in memory between them; NaN as above."""
    merged = together(asked)
    # frames and predictions are read once more for their hashes
    frames = len(passes(merged.masklets)) + bool(merged.masklets) + len(merged.segmented)
    encoded = sum(encoded_frames(num_frames, one) for one in merged.pooled)
    refined_rows = sum(costs.objects_of(masklets) for _, _, masklets in merged.refined)
    pooled_rows = [costs.objects_of(one.masklets) for one in merged.pooled]
    painted_rows = max(pooled_rows, default=0.0) * len(merged.painted)
    maps = len(merged.refined) + 2 * len(merged.evaluated)
    masks = len(merged.evaluated) + len(merged.pooled)
    rows = refined_rows + sum(pooled_rows) + painted_rows
    return (
        costs.size("frame", num_frames * frames + encoded)
        + costs.size("masklet row", num_frames * rows)
        + costs.size("label map", num_frames * maps)
        + costs.size("mask", num_frames * masks)
    )


def _feature_rows(num_frames: int, pooled: Pooling, costs: UnitCosts) -> float:
    """One a masklet, or one a masklet and encoded frame."""
    objects = costs.objects_of(pooled.masklets)
    if pooled.pool == "frame":
        return objects * encoded_frames(num_frames, pooled)
    return objects * -(-num_frames // pooled.masklets.window)
