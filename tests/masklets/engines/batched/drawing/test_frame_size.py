"""Masks and logits at the frame's size: some at a time, with the bits of all at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sam2vss_lib.datasets import Clip
from sam2vss_lib.masklets.engines.batched.clip import write_clip
from sam2vss_lib.masklets.engines.batched.drawing import drawn, frame_size
from sam2vss_lib.masklets.engines.batched.drawing.drawn import changes
from sam2vss_lib.masklets.engines.batched.drawing.frame_size import (
    WHOLE,
    PackedMasks,
    VisibleParts,
    at_frame_size,
    occupied,
    pack,
    parts_at_frame_size,
)
from sam2vss_lib.masklets.engines.batched.tracker import WindowTracker
from sam2vss_lib.masklets.engines.visible import visible_parts
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from tests.masklets.common import METADATA
from tests.masklets.engines.batched.test_tracker import scene

side = st.integers(1, 7)


def visible_in_parts(logits: torch.Tensor, rows: np.ndarray, counts: Sequence[int]) -> torch.Tensor:
    top, start = VisibleParts(rows, (logits.shape[1], logits.shape[2])), 0
    for part in logits.split(list(counts)):
        where = occupied((part > 0).any(0).numpy())
        top.add(start, part, where if start % 2 else WHOLE)
        start += len(part)
    return top.owners() == torch.arange(len(rows))[:, None, None]


@given(st.data())
def test_visible_parts_do_not_depend_on_how_logits_come(data: st.DataObject) -> None:
    few = st.sampled_from([-2.0, -0.0, 0.0, 1.0, 2.0])  # so that there are ties
    shape = data.draw(st.tuples(side, side, side))
    logits = torch.from_numpy(data.draw(hnp.arrays(np.float32, shape, elements=few)))
    rows = np.array(data.draw(st.lists(st.integers(0, len(logits) - 1), min_size=1)))
    counts = [1] * len(logits) if data.draw(st.booleans()) else [len(logits)]
    expected = visible_parts(logits[torch.from_numpy(rows)])
    assert torch.equal(visible_in_parts(logits, rows, counts), expected)


@given(hnp.arrays(np.bool_, st.tuples(side, side, side)))
def test_packed_masks_are_read_as_an_array_is(masks: np.ndarray) -> None:
    packed = PackedMasks(pack(torch.from_numpy(masks).flatten(1)).numpy(), masks.shape[1:])
    index = np.arange(len(masks))[::-1]
    assert (len(packed), packed.shape) == (len(masks), masks.shape)
    assert np.array_equal(packed[index], masks[index])


@pytest.mark.parametrize("together", [1, 3, 8])
def test_logits_come_to_the_frames_size_as_they_do_all_at_once(
    monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    low, size = torch.randn(8, 1, 16, 16), (33, 50)
    monkeypatch.setitem(frame_size._PART_BYTES, "cpu", 4 * 33 * 50 * together)
    parts = list(parts_at_frame_size(low, size))
    assert [start for start, _ in parts] == list(range(0, 8, together))
    assert torch.equal(torch.cat([part for _, part in parts]), at_frame_size(low, size))


class Largest(TorchDispatchMode):
    """Keeps the size in bytes of the largest tensor that any operation makes."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **kwargs or {})
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self.size = max(self.size, leaf.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("approximated", [{}, {"merge_iou": 0.95}])
def test_memory_is_bounded_whatever_the_number_of_masklets(
    demo_model: Sam2Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    approximated: dict[str, Any],
) -> None:
    """At the frame's size one mask is made at a time; the largest tensor is the frame itself."""
    height, width = size = (640, 880)
    clip = Clip("clip", tmp_path, ("0.png", "1.png"), (None, None))
    for path, image in zip(map(clip.frame_path, range(2)), scene(size), strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    every = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    settings = MaskletSettings(window=2, points_per_side=3, **every, **approximated)
    store, tracker = MaskletStore(tmp_path), WindowTracker(demo_model, max_objects_per_batch=4)
    together: list[int] = []

    def counted(maps: torch.Tensor, *others: Any) -> torch.Tensor:
        together.append(len(maps))
        return changes(maps, *others)

    monkeypatch.setattr(drawn, "changes", counted)
    metadata = {**METADATA, "clip": "clip", "frames": 2}
    with Largest() as largest, store.writer("clip", metadata) as writer:
        write_clip(clip, {settings: writer}, tracker)
    assert writer.masklets == 3 * 3**2
    assert max(together) == 1
    assert largest.size == height * width * 3 * 4
