"""Streaming over a clip: which references, what is kept; neither batch nor cache matters."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders.segmentors import segmentor_encoder
from sam2vss_lib.segmentors.pixels import network_input
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segformer.segformer import SegFormer
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.segmentors.temporal.architectures import TemporalArchitecture, build_temporal
from sam2vss_lib.segmentors.temporal.clip_head import (
    FrameFeatures,
    as_references,
    clip_indices,
    join_frames,
    split_frames,
)
from sam2vss_lib.segmentors.temporal.streaming import TemporalSegmentor

ENCODER: dict[str, Any] = {
    "hidden_sizes": [8, 8, 8, 8],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 1, 1],
    "mlp_ratios": [1, 1, 1, 1],
}
HEADS: dict[str, dict[str, Any]] = {
    "cffm": {"embed_dim": 8, "depth": 1, "heads": 2},
    "mrcfa": {"embed_dim": 8},
    "tv3s": {"embed_dim": 8, "window": 4, "shift": 2, "depth": 2},
}


def make_segmentor(head: str, **options: Any) -> TemporalSegmentor:
    architecture = TemporalArchitecture.model_validate(
        {"head": head, "encoder": ENCODER, "head_settings": HEADS[head], "num_classes": 3}
    )
    torch.manual_seed(0)
    network = build_temporal(architecture).eval()
    for parameter in network.decode_head.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(2)
    chosen = InferenceOptions(**options)
    return TemporalSegmentor(head, network, 3, "0" * 64, torch.device("cpu"), chosen, "frame")


def make_clip(length: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (length, 5, 6, 3), dtype=np.uint8)
    return coarse.repeat(9, 1).repeat(12, 2)


def probabilities(segmentor: TemporalSegmentor, clip: NDArray[np.uint8]) -> Tensor:
    found = list(segmentor.predict_clip(iter(clip), with_probabilities=True))
    assert all(one.labels.shape == clip.shape[1:3] for one in found)
    return torch.stack([one.probabilities for one in found if one.probabilities is not None])


def test_references_are_those_of_the_published_test_code() -> None:
    early = [(0,), (1,), (2,), (0, 1, 2, 3), (0, 2, 3, 4), (0, 2, 4, 5)]
    early += [(0, 2, 4, 6), (0, 3, 5, 7), (0, 3, 6, 8), (0, 3, 6, 9), (1, 4, 7, 10)]
    assert [clip_indices(i) for i in range(11)] == early
    assert clip_indices(100) == (91, 94, 97, 100)


@pytest.mark.parametrize("head", HEADS)
@torch.inference_mode()
def test_frames_get_what_the_head_makes_of_their_references(head: str) -> None:
    segmentor, clip = make_segmentor(head), make_clip(13)
    found = probabilities(segmentor, clip)
    network = segmentor.network
    for index in (0, 2, 3, 5, 12):
        frames = [segmentor.encode([clip[i]])[0] for i in clip_indices(index)]
        alone = len(frames) == 1
        logits = (
            network.decode_head.frame_logits(frames[0])
            if alone
            else network.decode_head.clip_logits(frames)
        )
        assert (found[index].float() - logits[0].softmax(0)).abs().max() < 2e-3


@pytest.mark.parametrize("head", HEADS)
def test_neither_batches_nor_the_cache_change_the_result(head: str) -> None:
    clip = make_clip(11)
    wanted = probabilities(make_segmentor(head), clip).float()
    for options in ({"batch_frames": 1}, {"batch_frames": 32}, {"cache_references": False}):
        found = probabilities(make_segmentor(head, **options), clip).float()
        assert (found - wanted).abs().max() < 2e-3, options


@pytest.mark.parametrize("mode", [1, 2])
def test_modes_of_tv3s_read_frame_after_frame(mode: int) -> None:
    clip = make_clip(6)
    segmentor = make_segmentor("tv3s", tv3s_mode=mode)
    found = probabilities(segmentor, clip).float()
    again = probabilities(segmentor, clip[3:]).float()  # as a clip of its own
    if mode == 1:
        assert (found[3:] - again).abs().max() < 2e-3
    else:
        assert (found[3:] - again).abs().max() > 1e-2


def test_clips_know_nothing_of_each_other() -> None:
    segmentor = make_segmentor("tv3s", tv3s_mode=2)
    first = probabilities(segmentor, make_clip(5))
    probabilities(segmentor, make_clip(5, seed=1))
    assert torch.equal(probabilities(segmentor, make_clip(5)), first)


def test_bfloat16_stays_close_and_says_so() -> None:
    clip = make_clip(5)
    reduced = make_segmentor("cffm", precision="bfloat16")
    wanted = probabilities(make_segmentor("cffm"), clip).float()
    assert (probabilities(reduced, clip).float() - wanted).abs().max() < 0.05
    assert reduced.options.identity() == {"precision": "bfloat16", "tv3s_mode": 0}


@pytest.mark.parametrize("cache", [True, False])
def test_only_a_few_frames_are_read_ahead_and_kept(cache: bool) -> None:
    segmentor = make_segmentor("cffm", batch_frames=2, cache_references=cache)
    read = list[int]()

    def reading() -> Iterator[NDArray[np.uint8]]:
        for i, frame in enumerate(make_clip(40)):
            read.append(i)
            yield frame

    encoded = list[int]()
    encode = segmentor.network.frame_features

    def counting(pixels: Tensor) -> Any:
        encoded.append(len(pixels))
        return encode(pixels)

    segmentor.network.frame_features = counting  # type: ignore[method-assign]
    for done, _ in enumerate(segmentor.predict_clip(reading())):
        assert len(read) <= done + 2
    assert sum(encoded) == (40 if cache else 3 + 4 * 37)


def test_features_of_a_batch_come_apart_and_together() -> None:
    segmentor = make_segmentor("mrcfa")
    features, _ = segmentor.encode(list(make_clip(3)))
    apart = split_frames(features, 3)
    assert len(apart) == 3
    joined = join_frames(apart)
    assert torch.equal(joined.fused, features.fused)
    assert all(torch.equal(a, b) for a, b in zip(joined.shared, features.shared, strict=True))
    assert apart[0].fused.untyped_storage().nbytes() < features.fused.untyped_storage().nbytes()


def test_any_size_of_frame() -> None:
    segmentor = make_segmentor("tv3s")
    for size in ((1, 1), (33, 65)):
        clip = np.zeros((4, *size, 3), np.uint8)
        labels = [one.labels.shape for one in segmentor.predict_clip(clip)]
        assert labels == [size] * 4


@pytest.mark.parametrize("name", ["segformer-micro", *(f"{head}-micro" for head in HEADS)])
def test_frames_too_small_for_the_demo_encoders_are_stretched(name: str) -> None:
    """Those have a first stride of 8 px and reduce its map 8 times: no side is less than 64 px."""
    segmentor = load_segmentor(name)
    for size in ((1, 1), (31, 100), (64, 20)):
        clip = make_clip(5).repeat(2, 1).repeat(2, 2)[:, : size[0], : size[1]]
        found = list(segmentor.predict_clip(clip, with_probabilities=True))
        assert [one.labels.shape for one in found] == [size] * 5
        segmentor_encoder(segmentor).encode(clip[0])
    assert isinstance(segmentor, SegFormer | TemporalSegmentor)
    frames = torch.from_numpy(make_clip(1)[:, :32, :])
    assert segmentor.network_input(frames).shape[2:] == (64, 96)
    assert network_input(frames, "frame").shape[2:] == (32, 96)


def kept_bytes(features: FrameFeatures) -> int:
    parts = [getattr(features, field.name) for field in fields(features)]
    tensors = [t for part in parts for t in (part if isinstance(part, tuple) else (part,))]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


@pytest.mark.parametrize("head", HEADS)
@torch.inference_mode()
def test_of_references_only_what_targets_read_is_kept(head: str) -> None:
    segmentor = make_segmentor(head)
    frames = split_frames(segmentor.encode(list(make_clip(4)))[0], 4)
    past = [as_references(frame) for frame in frames[:3]]
    network = segmentor.network.decode_head
    expected = network.clip_logits(frames)
    assert torch.equal(network.clip_logits([*past, frames[3]]), expected)
    assert past[0].fused.shape == (1, 0, *frames[0].fused.shape[2:])
    assert kept_bytes(frames[0]) - kept_bytes(past[0]) >= frames[0].fused.nbytes
    assert kept_bytes(as_references(past[0])) == kept_bytes(past[0])


def test_settings_that_no_head_has_are_refused() -> None:
    wrong = TemporalArchitecture(head="tv3s", encoder=ENCODER, head_settings={"windows": 3})
    with pytest.raises(SettingsError, match=r"head_settings of tv3s: .*windows"):
        build_temporal(wrong)
