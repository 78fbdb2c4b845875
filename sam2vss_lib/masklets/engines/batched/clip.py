"""The masklets of one clip for any number of settings, in one pass over its frames.

Settings share whatever is the same between them: encodings of frames, prompts of a grid at an
anchor, and the track of a proposal that several settings keep, which is followed as far as the
longest of their windows goes. Objects do not see each other in SAM2, so sharing changes no mask.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.drawing.drawn import Drawn, OnItsWay
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import PackedMasks
from sam2vss_lib.masklets.engines.batched.drawing.handover import Handover
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.frames import Frame, encoded_frames
from sam2vss_lib.masklets.engines.batched.grid import Candidates, propose, survivors
from sam2vss_lib.masklets.engines.batched.tracker import TrackedFrame, WindowTracker
from sam2vss_lib.masklets.rows import run_columns
from sam2vss_lib.masklets.runs import encode_runs
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.work import Work
from sam2vss_lib.masklets.writer import ClipWriter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Member:
    """One setting's part in an anchor's objects."""

    settings: MaskletSettings
    slots: NDArray[np.int64]  # which of the anchor's objects are its masklets, in its own order
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    num_frames: int


@dataclass
class _OpenWindow:
    """The objects of one anchor on their way through the frames."""

    anchor: int
    members: list[_Member]
    current: EncodedFrames  # the frame that `parts` reads next
    parts: Iterator[TrackedFrame]


class BatchedEngine:
    """All objects of a window in batches; a `MaskletEngine`."""

    def __init__(
        self, model: Sam2Model, settings: MaskletSettings, max_objects_per_batch: int | None
    ) -> None:
        self._tracker = WindowTracker(
            model,
            max_objects_per_batch=max_objects_per_batch,
            precision=settings.precision,
            approximations=settings,
        )

    def write_clip(self, clip: Clip, writers: Mapping[MaskletSettings, ClipWriter]) -> Work:
        """Compute a clip's masklets for every setting and hand their rows to the writers."""
        return write_clip(clip, writers, self._tracker)


def write_clip(
    clip: Clip, writers: Mapping[MaskletSettings, ClipWriter], tracker: WindowTracker
) -> Work:
    """Compute a clip's masklets for every setting and hand their rows to the settings' writers.

    The settings can share a pass (see `plan.passes`), and the tracker's model makes the proposals
    too.
    """
    work, model, first = Work(), tracker.model, next(iter(writers))
    anchors = {a for s in writers for a in range(0, clip.num_frames, s.window)}
    windows: list[_OpenWindow] = []
    frames = encoded_frames(
        clip,
        model,
        anchors,
        precision=first.precision,
        share_anchors=first.share_anchor_encoding,
    )
    with closing(frames), Handover("writing") as writing:
        for frame in frames:
            work.image_encodings += 1 + (frame.image is not None and frame.image is not frame.video)
            if frame.image is not None:
                opened = _open_window(clip, frame, frame.image, writers, tracker, work)
                windows += [opened] if opened.members else []
            for window in windows:
                window.current = frame.video
                part = next(window.parts)
                work.object_frames += len(part.low)
                _hand_over(window, part, writers, writing)
            still_open: list[_OpenWindow] = []
            for window in windows:
                longest = max(member.num_frames for member in window.members)
                if frame.index + 1 < window.anchor + longest:
                    still_open.append(window)
                else:  # it and its generator refer to each other: free the memories here and now
                    window.parts = iter(())
            windows = still_open
    return work


def _open_window(
    clip: Clip,
    frame: Frame,
    features: EncodedFrames,
    settings: Iterable[MaskletSettings],
    tracker: WindowTracker,
    work: Work,
) -> _OpenWindow:
    """Propose on an anchor once per grid, and start one object for every proposal in use."""
    anchor = frame.index
    here = [s for s in settings if anchor % s.window == 0]
    objects = _Objects(tracker)
    members: list[_Member] = []
    for grid in dict.fromkeys(_grid(s) for s in here):
        users = [s for s in here if _grid(s) == grid]
        candidates = _candidates(tracker.model, features, clip.size, users)
        work.prompts += users[0].points_per_side ** 2
        # the longest windows first, so that a shorter one finds their objects
        for user in sorted(users, key=lambda s: -s.window):
            chosen = survivors(candidates, user)
            num_frames = min(user.window, clip.num_frames - anchor)
            if len(chosen):
                packed = candidates.packed[chosen].cpu().numpy()
                slots = [
                    objects.slot((grid, candidate), mask, num_frames)
                    for candidate, mask in zip(chosen.tolist(), packed, strict=True)
                ]
                scores = candidates.scores(chosen)
                members.append(_Member(user, np.array(slots), *scores, num_frames))
            else:
                _log.info("%s: no proposal on frame %d", clip.name, anchor)
    window = _OpenWindow(anchor, members, frame.video, iter(()))
    if members:
        masks = PackedMasks(np.stack(objects.packed), clip.size)
        lengths = np.array(objects.lengths)
        window.parts = tracker.track(lambda _offset: window.current, masks, lengths)
    return window


class _Objects:
    """The objects of one anchor, each tracked once for all settings that it is the same for."""

    def __init__(self, tracker: WindowTracker) -> None:
        self._tracker = tracker
        self._slots: dict[tuple[object, int], int] = {}  # by proposal and age unit
        self.packed: list[NDArray[np.uint8]] = []
        self.lengths: list[int] = []

    def slot(self, proposal: object, packed: NDArray[np.uint8], num_frames: int) -> int:
        """Index of the object that a proposal, a packed mask, becomes in a window of `num_frames`.

        Windows are to be asked for in descending length.
        """
        age_unit = self._tracker.age_unit(num_frames)
        found = self._slots.setdefault((proposal, age_unit), len(self.packed))
        if found == len(self.packed):
            self.packed.append(packed)
            self.lengths.append(num_frames)
        if num_frames > 1:
            # on its first frame a masklet does not depend on what follows
            self._slots.setdefault((proposal, self._tracker.age_unit(1)), found)
        return found


def _grid(settings: MaskletSettings) -> tuple[object, ...]:
    """What the scores of all candidates depend on; thresholds and NMS come after."""
    return settings.points_per_side, settings.stability_score_offset, settings.points_per_batch


def _candidates(
    model: Sam2Model,
    features: EncodedFrames,
    size_px: tuple[int, int],
    users: Sequence[MaskletSettings],
) -> Candidates:
    """One grid's masks, at the loosest thresholds that anyone asks for."""
    thresholds = {
        "pred_iou_thresh": min(user.pred_iou_thresh for user in users),
        "stability_score_thresh": min(user.stability_score_thresh for user in users),
    }
    return propose(model, features, size_px, users[0].model_copy(update=thresholds))


def _hand_over(
    window: _OpenWindow,
    part: TrackedFrame,
    writers: Mapping[MaskletSettings, ClipWriter],
    writing: Handover,
) -> None:
    """Have the rows of one anchor on one frame written, for every setting that has them."""
    members = [member for member in window.members if part.offset < member.num_frames]
    rows_of = [part.rows[np.searchsorted(part.objects, member.slots)] for member in members]
    # settings often keep the very same masklets
    shown = {rows.tobytes(): rows for rows in rows_of}
    drawn = Drawn(part.low, part.size_px, [*shown.values()])
    presence = OnItsWay(part.presence)

    def write() -> None:
        runs, seen = drawn.runs()
        masks, scores = run_columns(runs), presence.numpy()
        visible = dict(zip(shown, map(encode_runs, seen), strict=True))
        for member, rows in zip(members, rows_of, strict=True):
            writers[member.settings].add(
                masks.take(rows),
                visible[rows.tobytes()],
                window=window.anchor // member.settings.window,
                anchor=window.anchor,
                frame=window.anchor + part.offset,
                predicted_iou=member.predicted_iou,
                stability=member.stability,
                object_score=scores[rows],
            )

    writing.put(write)
