"""The tests of the tests: planted faults of three kinds are found, each at its line."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sam2vss_lib.masklets.engines.batched import chunks, tracker
from sam2vss_lib.masklets.engines.batched.encoder import EncodedFrames
from sam2vss_lib.masklets.engines.batched.heads import Heads
from sam2vss_lib.masklets.engines.batched.memory.reader import MemoryReader
from sam2vss_lib.masklets.sam2 import Sam2Model
from tests.pretended_gpu.rules import MixedDevices
from tests.pretended_gpu.stops import Stops
from tests.pretended_gpu.test_tracking import READS_A_FRAME, stops_by_frame, tracked

Frames = list[EncodedFrames]


def test_a_forgotten_copy_to_the_device(
    on_cuda: Sam2Model, features: Frames, gpu: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given_masks(masks: Any, predictor: Any) -> Tensor:  # without `.to(predictor.device)`
        x = torch.from_numpy(masks)[:, None].float()
        size = (predictor.image_size, predictor.image_size)
        return (torch.nn.functional.interpolate(x, size=size, mode="area") >= 0.5).float()

    monkeypatch.setattr(tracker, "given_masks", given_masks)
    with pytest.raises(MixedDevices, match="same device"):
        list(tracked(on_cuda, features))


def test_a_constant_of_the_cpu(
    on_cuda: Sam2Model, features: Frames, gpu: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = MemoryReader.read

    def read(self: Any, frame: int, s16: Tensor, memories: Any, age_units: Tensor) -> Tensor:
        scale = torch.ones(s16.shape[1])  # without `device=s16.device`
        return plain(self, frame, s16, memories, age_units) * scale

    monkeypatch.setattr(MemoryReader, "read", read)
    with pytest.raises(MixedDevices, match=r"aten\.mul"):
        list(tracked(on_cuda, features))


def test_a_constant_copied_to_the_device_in_a_loop(
    on_cuda: Sam2Model, features: Frames, gpu: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Heads.decode

    def decode(self: Any, image: Tensor, features: EncodedFrames) -> Any:
        return plain(self, image * torch.tensor([1.0], device=image.device), features)

    monkeypatch.setattr(Heads, "decode", decode)
    *_, last = stops_by_frame(tracked(on_cuda, features), gpu)
    (place,) = {stop.place for stop in last.of("upload")}
    assert place.startswith("tests/pretended_gpu/test_planted.py:")
    assert place.endswith(" decode")


def test_an_answer_asked_for_object_by_object(
    on_cuda: Sam2Model, features: Frames, gpu: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Heads.decode

    def decode(self: Any, image: Tensor, features: EncodedFrames) -> Any:
        decoded = plain(self, image, features)
        present = [bool(score > 0) for score in decoded.scores]
        return decoded._replace(masks=decoded.masks * max(present, default=True))

    monkeypatch.setattr(Heads, "decode", decode)
    *_, last = stops_by_frame(tracked(on_cuda, features, 4), gpu)
    assert len(last.of("read")) == READS_A_FRAME + 7
    assert sum("test_planted.py" in str(stop) for stop in last.of("read")) == 7
    assert "7 x read by" in str(last)


def test_indices_copied_for_every_memory(
    on_cuda: Sam2Model, features: Frames, gpu: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was before this room of tests found it."""

    def rows(self: Any, index: Any) -> Any:
        picked = index if isinstance(index, slice) else torch.from_numpy(index)
        kinds = (self.memories.maps, self.memories.pointers)
        maps, pointers = ({t: x[picked] for t, x in kind.items()} for kind in kinds)
        memories = type(self.memories)(maps, pointers)
        return chunks.Chunk(self.objects[index], self.lengths[index], memories)

    monkeypatch.setattr(chunks.Chunk, "rows", rows)
    found = stops_by_frame(tracked(on_cuda, features), gpu)
    assert [len(stops.of("upload")) for stops in found] != [0] * 4
