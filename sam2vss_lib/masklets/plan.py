"""What several settings' masklets will take when they are computed together, before any of it."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import product

from sam2vss_lib.masklets.registry import ENGINES
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.work import Work


def passes(settings: Iterable[MaskletSettings]) -> list[list[MaskletSettings]]:
    """Settings in groups, each of which can share one pass over the frames."""
    groups: dict[Hashable, list[MaskletSettings]] = {}
    for one in settings:
        groups.setdefault(_pass(one), []).append(one)
    return list(groups.values())


def engine_key(settings: MaskletSettings) -> Hashable:
    """What one engine is made for: all settings that may share passes, or these alone."""
    if not ENGINES[settings.engine].shares_passes:
        return settings
    return settings.engine, settings.precision, *settings.in_use().items()


def _pass(settings: MaskletSettings) -> Hashable:
    """What all settings of a pass have in common."""
    # which objects are merged depends on which others there are
    return engine_key(settings) if settings.merge_iou is None else settings


def planned_work(num_frames: Iterable[int], settings: Sequence[MaskletSettings]) -> Work:
    """Encodings and prompts of all settings together, on clips of so many frames.

    How many objects there will be is for the model to say, so `object_frames` is 0.
    """
    work = Work()
    for group, frames in product(passes(settings), num_frames):
        grids = {(a, s.points_per_side) for s in group for a in range(0, frames, s.window)}
        again = 0 if group[0].share_anchor_encoding else len({anchor for anchor, _ in grids})
        work.image_encodings += frames + again
        work.prompts += sum(side**2 for _, side in grids)
    return work


def work_alone(num_frames: Sequence[int], settings: Sequence[MaskletSettings]) -> Work:
    """The same, were each of the settings run by itself."""
    return sum((planned_work(num_frames, [one]) for one in settings), Work())


def proposals_from(
    setting: MaskletSettings, settings: Sequence[MaskletSettings]
) -> MaskletSettings | None:
    """Another setting that prompts wherever this one does, so that it needs no prompts of its own.

    Thresholds and the suppression of duplicates come after the prompts: they are applied anew.
    """
    for other in settings:
        same_grid = other.points_per_side == setting.points_per_side and (
            other.stability_score_offset == setting.stability_score_offset
        )
        shared = same_grid and _pass(other) == _pass(setting)
        if other != setting and shared and setting.window % other.window == 0:
            return other
    return None


def describe_plan(num_frames: Sequence[int], settings: Sequence[MaskletSettings]) -> str:
    """The plan in words: what is run, what is derived from it, and what that saves."""
    if not num_frames:
        return f"masklets of {len(settings)} settings: nothing to compute"
    together, alone = planned_work(num_frames, settings), work_alone(num_frames, settings)
    owners: list[MaskletSettings] = []
    for one in settings:
        if proposals_from(one, owners) is None:
            owners = [o for o in owners if proposals_from(o, [one]) is None] + [one]
    prompted = (
        f"{one.points_per_side}x{one.points_per_side} points every {one.window} frames"
        for one in owners
    )
    lines = [
        f"masklets of {len(settings)} settings on {len(num_frames)} clips, "
        f"{sum(num_frames)} frames",
        f"  image encodings {together.image_encodings:,} instead of {alone.image_encodings:,}, "
        f"prompts {together.prompts:,} instead of {alone.prompts:,}",
        f"  prompted: {'; '.join(prompted)}",
    ]
    if derived := len(settings) - len(owners):
        lines.append(
            f"  {derived} settings select from these prompts' masks, and follow objects that "
            "another setting follows only once"
        )
    return "\n".join(lines)
