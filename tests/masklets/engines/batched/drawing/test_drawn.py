"""What leaves the device of masklets says all of them: the same runs however it is found."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sam2vss_lib.masklets.engines.batched.drawing import drawn, frame_size
from sam2vss_lib.masklets.engines.batched.drawing.drawn import Drawn
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import at_frame_size
from sam2vss_lib.masklets.engines.visible import visible_parts
from sam2vss_lib.masklets.rows import encode_masks
from sam2vss_lib.masklets.runs import encode_runs

side, value = st.integers(1, 9), st.integers(0, 3)


def by_definition(maps: NDArray[np.int64], nothing: int) -> list[int]:
    """Places at which a pixel differs from the one above it, or at the end of the column before."""
    found: list[int] = []
    for number, one in enumerate(maps):
        before, columns = nothing, one.T.reshape(-1).tolist()
        for place, pixel in enumerate(columns):
            if pixel != before:
                found.append(number * len(columns) + place)
            before = pixel
    return [*found, -1]


@given(hnp.arrays(np.int64, st.tuples(side, side, side), elements=value), value)
def test_changes_of_maps(maps: NDArray[np.int64], nothing: int) -> None:
    expected = by_definition(maps, nothing)
    on_host = drawn.changes(torch.from_numpy(maps), nothing, None)
    on_device = partial(drawn._changes_on_device, torch.from_numpy(maps), nothing)
    assert on_host.tolist() == expected
    assert on_device(None).tolist() == expected
    room = maps.size
    assert on_device(room).tolist() == expected + [-1] * (room + 1 - len(expected))


@pytest.mark.parametrize("where", ["host", "device", "device without room"])
@pytest.mark.parametrize("together", [1, 2, 5])
def test_masks_and_what_is_seen_of_them(
    monkeypatch: pytest.MonkeyPatch, where: str, together: int
) -> None:
    size, rng = (33, 50), np.random.default_rng(0)
    low = torch.from_numpy(rng.normal(size=(5, 1, 16, 16)).astype(np.float32))
    low[3] = -1  # empty
    shown = [np.array([0, 1, 2, 3, 4]), np.array([4, 1, 4])]
    hidden = rng.random(size) < 0.3
    monkeypatch.setitem(frame_size._PART_BYTES, "cpu", 4 * 33 * 50 * together)
    if where != "host":
        monkeypatch.setattr(drawn, "changes", drawn._changes_on_device)
        monkeypatch.setattr(drawn, "_ROOM", 1 if where != "device" else 40)
    logits = at_frame_size(low, size)
    for hiding in (None, hidden):
        masks, seen = Drawn(low, size, shown, hiding).runs()
        assert encode_runs(masks) == encode_masks((logits > 0).numpy())
        for rows, runs in zip(shown, seen, strict=True):
            visible = visible_parts(logits[torch.from_numpy(rows)]).numpy()
            if hiding is not None:
                visible &= ~hiding
            assert encode_runs(runs) == encode_masks(visible)


def test_a_device_without_room_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def counted(maps: torch.Tensor, nothing: int, room: int | None) -> torch.Tensor:
        asked.append(room)
        return drawn._changes_on_device(maps, nothing, room)

    monkeypatch.setattr(drawn, "changes", counted)
    low = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)[None, None]
    Drawn(low, (16, 16), []).runs()
    assert asked == [4 * 16, None]
