"""Encoders of base models."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam2vss_lib.datasets import Clip
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders import encode_frame, load_encoder, segmentor_encoder
from sam2vss_lib.isam2.encoders.base import concatenate_maps
from sam2vss_lib.isam2.features import pool_features
from sam2vss_lib.segmentors.base import Prediction, Segmentor
from sam2vss_lib.segmentors.pixels import network_input, normalise
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.segformer.segformer import SegFormer
from sam2vss_lib.segmentors.settings import InferenceOptions
from tests.segmentors.temporal.test_clip_head import make_clip, make_segmentor


@pytest.fixture(scope="module")
def segformer() -> SegFormer:
    model = load_segmentor("segformer-micro")
    assert isinstance(model, SegFormer)
    return model


@torch.inference_mode()
def stage_maps(segformer: SegFormer, image: np.ndarray) -> list[torch.Tensor]:
    """Stages as the decoder gets them, for a frame that needs no stretching."""
    seen = list[torch.Tensor]()
    head = segformer.network.decode_head
    handle = head.register_forward_pre_hook(lambda module, inputs: seen.extend(inputs[0]))
    segformer.network(normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))
    handle.remove()
    return [stage[0] for stage in seen]


def test_stages_are_what_the_base_models_decoder_gets(
    segformer: SegFormer, image: np.ndarray
) -> None:
    maps = stage_maps(segformer, image)
    for number, wanted in enumerate(maps, start=1):
        encoder = segmentor_encoder(segformer, str(number))
        found = encoder.encode(image)
        assert torch.allclose(found, wanted, atol=1e-5)
        assert found.shape[0] == encoder.dim
        assert -(-128 // encoder.stride) == found.shape[2]
    everything = segmentor_encoder(segformer, "all")
    found = everything.encode(image)
    assert torch.allclose(found, concatenate_maps(maps), atol=1e-5)
    assert (everything.dim, everything.stride) == (
        found.shape[0],
        segmentor_encoder(segformer, "1").stride,
    )


def test_default_is_the_last_stage(segformer: SegFormer) -> None:
    default = segmentor_encoder(segformer)
    assert default.name == "segformer-micro@4"
    assert default.sha256 == load_encoder("segformer-micro@4").sha256
    assert default.sha256 == load_encoder("segformer-micro").sha256
    assert default.sha256 != load_encoder("segformer-micro@3").sha256
    assert default.sha256 != load_encoder("segformer-mini").sha256


def test_frame_of_any_size_is_covered(segformer: SegFormer) -> None:
    image = np.zeros((45, 70, 3), np.uint8)
    stride = segmentor_encoder(segformer, "1").stride
    assert segmentor_encoder(segformer, "1").encode(image).shape[1:] == (64 // stride, 96 // stride)


def test_pooling_stacked_maps_is_stacking_pooled_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(3, s, 2 * s, generator=generator) for s in (8, 4, 2)]
    masks = torch.rand(5, 31, 45, generator=generator) < 0.3
    stacked = pool_features(concatenate_maps(maps), masks).mean
    apart = torch.cat([pool_features(m, masks).mean for m in maps], 1)
    assert torch.allclose(stacked, apart, atol=1e-5)


class Other(Segmentor):
    """A base model that is no SegFormer."""

    def predict_clip(
        self, frames: Iterable[np.ndarray], *, with_probabilities: bool = False
    ) -> Iterator[Prediction]:
        for frame in frames:
            yield Prediction(torch.zeros(frame.shape[:2], dtype=torch.uint8))


def test_other_base_models_have_no_encoder() -> None:
    device, options = torch.device("cpu"), InferenceOptions()
    other = Other("other", None, 3, "0" * 64, device, options)
    with pytest.raises(SettingsError, match="model other offers no encoder"):
        segmentor_encoder(other)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="unknown feature 'c4' of segformer-mini; known are 1"):
        load_encoder("segformer-mini@c4")
    with pytest.raises(SettingsError, match="unknown model 'resnet'"):
        load_encoder("resnet")


@pytest.mark.parametrize("head", ["cffm", "mrcfa", "tv3s"])
@torch.inference_mode()
def test_features_of_temporal_models(head: str, tmp_path: Path) -> None:
    model = make_segmentor(head)
    clip = make_clip(6)
    dataset = write_clip(tmp_path, clip)
    single = {name: segmentor_encoder(model, name) for name in ("c4", "fuse", "clip")}
    default = segmentor_encoder(model)
    assert default.name == f"{head}@fuse"
    assert len({encoder.sha256 for encoder in single.values()}) == 3
    for encoder in single.values():
        found = encode_frame(encoder, dataset, 5)
        assert found.shape[0] == encoder.dim
    stages = model.network.backbone(network_input(torch.from_numpy(clip[5])[None], "frame"))
    assert torch.allclose(single["c4"].encode(clip[5]), stages[-1][0], atol=1e-5)
    features = [model.encode([clip[i]])[0] for i in (0, 2, 4, 5)]
    wanted = model.network.decode_head.clip_features(features)[0]
    assert torch.allclose(encode_frame(single["clip"], dataset, 5), wanted, atol=1e-5)
    assert not torch.allclose(single["clip"].encode(clip[5]), wanted, atol=1e-3)
    alone = encode_frame(single["clip"], dataset, 1)
    assert torch.allclose(alone, single["clip"].encode(clip[1]), atol=1e-5)


def write_clip(root: Path, frames: np.ndarray) -> Clip:
    folder = root / "data" / "clip" / "origin"
    folder.mkdir(parents=True)
    files = tuple(f"{i:08d}.png" for i in range(len(frames)))
    for file, frame in zip(files, frames, strict=True):
        Image.fromarray(frame).save(folder / file)
    return Clip("clip", root, files)
