"""Masks as runs of pixels, column by column, without making the masks (COCO's run lengths)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_LONGEST = 6  # characters of a run length, which is then below 2^29 pixels
_BOUNDS = 16 << 5 * np.arange(_LONGEST - 1)  # from each on, a number takes one character more


class Runs(NamedTuple):
    """The runs of n masks, those of a mask side by side; pixel y + H x is a place."""

    starts: NDArray[np.int64]  # (r,) first place of every run
    stops: NDArray[np.int64]  # (r,) the place behind its last
    counts: NDArray[np.int64]  # (n,) how many runs each mask has
    size_px: tuple[int, int]  # (H, W)


def decode_runs(rles: Sequence[bytes], height: int, width: int) -> Runs:
    """Decode compressed run lengths, which are those of masks of this size."""
    lengths, count, first = _numbers(rles)
    ends = np.cumsum(lengths)
    # of each mask, the sum of all before it is taken away
    ends -= np.repeat(np.concatenate([[0], ends])[first], count)
    covering = np.flatnonzero(((np.arange(len(lengths)) - np.repeat(first, count)) & 1) == 1)
    stops = ends[covering]
    return Runs(stops - lengths[covering], stops, count // 2, (height, width))


def no_runs(count: int, size_px: tuple[int, int]) -> Runs:
    """Empty masks."""
    none = np.zeros(0, np.int64)
    return Runs(none, none, np.zeros(count, np.int64), size_px)


def runs_of_changes(
    mask: NDArray[np.int64], place: NDArray[np.int64], count: int, size_px: tuple[int, int]
) -> Runs:
    """The runs of masks of which it is known where a pixel differs from the one before it.

    Every such place is of one of `count` masks, (c,), and in it, (c,), ordered by mask, then place.
    What comes before a mask's first pixel is taken as not covered.
    """
    changes = np.bincount(mask, minlength=count)
    to_the_end = np.flatnonzero(changes % 2)  # masks that cover their last pixel
    place = np.insert(place, np.cumsum(changes)[to_the_end], size_px[0] * size_px[1])
    return Runs(place[0::2], place[1::2], (changes + 1) // 2, size_px)


def runs_of_owners(
    place: NDArray[np.int64], owner: NDArray[np.int64], count: int, size_px: tuple[int, int]
) -> Runs:
    """The runs of `count` disjoint masks, of whose map it is known where a pixel's owner changes.

    Owners, (c,), are those from a place, (c,), on; `count` stands for nobody, who also comes first.
    """
    stops = np.append(place[1:], size_px[0] * size_px[1])
    order = np.argsort(owner, kind="stable")
    order = order[: np.count_nonzero(owner < count)]
    return Runs(place[order], stops[order], np.bincount(owner[order], minlength=count), size_px)


def encode_runs(runs: Runs) -> list[bytes]:
    """Compressed run lengths of n masks: the inverse of `decode_runs`, equal to pycocotools'."""
    starts, stops, count, (height, width) = runs
    if not len(count):
        return []
    first = np.cumsum(count) - count
    mask, some = np.repeat(np.arange(len(count)), count), count > 0
    # run lengths end with a mask's last pixels even if it does not cover them
    left = np.full(len(count), height * width)
    left[some] -= stops[(first + count - 1)[some]]
    size = 2 * count + (left > 0)
    begin = np.cumsum(size) - size
    number = np.empty(size.sum(), np.int64)
    at = begin[mask] + 2 * (np.arange(len(starts)) - first[mask])
    before = np.concatenate([[0], stops[:-1]])[: len(stops)]
    before[first[some]] = 0
    number[at], number[at + 1] = starts - before, stops - starts
    number[(begin + size - 1)[left > 0]] = left[left > 0]
    value = number.copy()
    later = np.flatnonzero(np.arange(len(number)) - np.repeat(begin, size) > 2)
    value[later] -= number[later - 2]
    code, behind = _characters(value)
    cuts = [0, *behind[begin + size - 1].tolist()]
    return [code[start:stop] for start, stop in pairwise(cuts)]


def _characters(value: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """Numbers as characters, as `_numbers` reads them, and the place behind each number's last."""
    length = 1 + np.searchsorted(_BOUNDS, np.where(value < 0, ~value, value), side="right")
    behind = np.cumsum(length)
    code, longer = np.empty(behind[-1], np.uint8), np.arange(len(value))
    for digit in range(_LONGEST):
        longer = longer[length[longer] > digit]
        five = value[longer] >> 5 * digit & 31
        five += np.where(length[longer] > digit + 1, 32 + 48, 48)
        code[behind[longer] - length[longer] + digit] = five
    return code.tobytes(), behind


def covered_by(runs: Runs) -> NDArray[np.bool_]:
    """Where any of the masks is, (H, W)."""
    height, width = runs.size_px
    begun, ended = (np.bincount(at, minlength=height * width + 1) for at in runs[:2])
    inside = np.cumsum(begun - ended)[:-1] > 0
    return np.ascontiguousarray(inside.reshape(width, height).T)


def pixels_of_runs(rles: Sequence[bytes], pixels: int) -> NDArray[np.int64]:
    """Pixels of the masks that compressed run lengths stand for, (n,); -1 where they are no masks.

    No length may be negative, and their sum is `pixels`.
    """
    sizes = np.array([*map(len, rles)], np.int64)
    code = np.frombuffer(b"".join(rles), np.uint8) - np.uint8(48)
    last = np.cumsum(sizes) - 1
    right = sizes > 0
    right[right] = code[last[right]] < 32
    if code.max(initial=0) > 63:
        right[np.searchsorted(last, np.flatnonzero(code > 63))] = False
    if not right.all():
        found = np.full(len(rles), -1)
        if right.any():
            found[right] = pixels_of_runs([rles[i] for i in np.flatnonzero(right).tolist()], pixels)
        return found
    run, count, first = _numbers(rles)
    covering = (np.arange(len(run)) - np.repeat(first, count)) % 2 == 1
    size = np.diff(np.flatnonzero(code < 32), prepend=-1)
    odd = (size > _LONGEST) | (run < 0) | (run > pixels)
    right = (np.add.reduceat(run, first) == pixels) & ~np.logical_or.reduceat(odd, first)
    return np.where(right, np.add.reduceat(run * covering, first), -1)


def _numbers(
    rles: Sequence[bytes],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All run lengths of n masks, how many each mask has, and the index of its first.

    A number is one to six characters of 5 bits each, the lowest first, all but the last marked by a
    sixth bit, the highest bit of the last being the sign. From a mask's fourth number on they are
    differences to the number two before.
    """
    code = np.frombuffer(b"".join(rles), np.uint8) - np.uint8(48)
    last = np.cumsum(np.array([*map(len, rles)], np.int64)) - 1
    ends = np.flatnonzero(code < 32)  # of numbers, none of which lies in two masks
    size = np.diff(ends, prepend=-1)
    value = (code[ends].astype(np.int64) ^ 16) - 16
    longer = np.arange(len(ends))
    for back in range(1, _LONGEST):
        longer = longer[size[longer] > back]
        value[longer] = value[longer] << 5 | code[ends[longer] - back] & 31
    count = np.diff(np.searchsorted(ends, last) + 1, prepend=0)
    first = np.cumsum(count) - count
    # sums of every other number, from which those before the second and third are taken away
    total = np.concatenate([np.zeros(2, np.int64), value])
    for parity in (0, 1):
        np.cumsum(total[parity::2], out=total[parity::2])
    covering = (np.arange(len(value)) - np.repeat(first, count)) % 2 == 1
    before = np.where(
        covering, np.repeat(total[first + 1], count), np.repeat(total[first + 2], count)
    )
    run = total[2:] - before
    run[first] = value[first]
    return run, count, first
