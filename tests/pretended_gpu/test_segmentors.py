"""Base models label frames on a GPU as they do on a CPU, and ask it for no answer meanwhile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sam2vss_lib.segmentors.base import Segmentor
from sam2vss_lib.segmentors.hugging_face.loading import load_hugging_face
from sam2vss_lib.segmentors.pixels import network_input
from sam2vss_lib.segmentors.registry import DEMO_MODELS, load_segmentor
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.segmentors.temporal.selective_scan import final_state, selective_scan
from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.tensors import on_gpu, on_host
from tests.segmentors.hugging_face.conftest import KINDS, saved

__all__ = ["saved"]  # a fixture

Frames = list[NDArray[np.uint8]]
Made = list[tuple[torch.Tensor, torch.Tensor]]


def frames(count: int = 5) -> Frames:
    """(64, 96, 3) blobs of colour, the first frames again and again a little brighter."""
    coarse = np.random.default_rng(2).integers(0, 200, (4, 6, 3), dtype=np.uint8)
    whole = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    return [whole + np.uint8(5 * t) for t in range(count)]


def predicted(model: Segmentor, images: Frames) -> Made:
    """Labels and probabilities of each frame, on the CPU."""
    found: Made = []
    for one in model.predict_clip(images, with_probabilities=True):
        assert one.labels.device.type == model.device.type
        assert one.probabilities is not None
        assert one.probabilities.device.type == model.device.type
        found.append((on_host(one.labels), on_host(one.probabilities)))
    return found


def assert_same(found: Made, expected: Made) -> None:
    assert len(found) == len(expected) > 0
    for (labels, shares), (other_labels, other_shares) in zip(found, expected, strict=True):
        assert (labels == other_labels).float().mean() >= 0.99
        torch.testing.assert_close(shares, other_shares, rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", DEMO_MODELS)
def test_demo_models_are_those_of_the_cpu(name: str) -> None:
    options = InferenceOptions(batch_frames=2)
    expected = predicted(load_segmentor(name, options=options), frames())
    with pretended_gpu() as stops:
        model = load_segmentor(name, "cuda", options)
        stops.taken()
        assert_same(predicted(model, frames()), expected)
        assert not stops.of("read"), str(stops)


@pytest.mark.parametrize("mode", [1, 2])
def test_tv3s_carries_its_state_on_the_gpu(mode: Any) -> None:
    name = next(name for name in DEMO_MODELS if "tv3s" in name)
    options = InferenceOptions(batch_frames=2, tv3s_mode=mode, cache_references=False)
    expected = predicted(load_segmentor(name, options=options), frames(3))
    with pretended_gpu():
        assert_same(predicted(load_segmentor(name, "cuda", options), frames(3)), expected)


@pytest.mark.parametrize("name", [name for name in DEMO_MODELS if "micro" in name])
def test_bfloat16_labels_nearly_the_same(name: str) -> None:
    reduced = InferenceOptions(batch_frames=2, precision="bfloat16")
    with pretended_gpu():
        exact = predicted(load_segmentor(name, "cuda"), frames())
        rough = predicted(load_segmentor(name, "cuda", reduced), frames())
    same = [(a == b).float().mean() for (a, _), (b, _) in zip(exact, rough, strict=True)]
    assert min(same) > 0.9


def test_the_published_resizing_is_that_of_the_cpu() -> None:
    images = torch.from_numpy(np.stack(frames(1)))
    expected = network_input(images, "published")
    with pretended_gpu():
        found = network_input(on_gpu(images), "published")
    assert torch.equal(on_host(found), expected)


def test_the_scan_is_that_of_the_cpu() -> None:
    torch.manual_seed(0)
    shapes = {
        "x": (2, 9, 4),
        "dt": (2, 9, 4),
        "a": (4, 3),
        "b": (2, 9, 3),
        "c": (2, 9, 3),
        "d": (4,),
    }
    given = {name: torch.rand(shape) for name, shape in shapes.items()}
    y, end = selective_scan(**given)
    with pretended_gpu() as stops:
        there = {name: on_gpu(value) for name, value in given.items()}
        found = selective_scan(**there)
        last = final_state(there["x"], there["dt"], there["a"], there["b"], found[1] * 0)
        assert not stops.found
    for one, other in zip((*found, last), (y, end, end), strict=True):
        torch.testing.assert_close(on_host(one), other)


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_transformers_are_those_of_the_cpu(
    saved: Callable[[str], Path], kind: str
) -> None:
    folder, options = str(saved(kind)), InferenceOptions(batch_frames=2)
    expected = predicted(load_hugging_face(folder, options=options), frames(3))
    with pretended_gpu():
        assert_same(predicted(load_hugging_face(folder, "cuda", options), frames(3)), expected)
