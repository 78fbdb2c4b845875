"""I-SAM2 on a GPU: encoders, pooled features, and the classifier's training and answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.classifiers.training import fit
from sam2vss_lib.isam2.encoders import Encoder, load_encoder
from sam2vss_lib.isam2.feature_settings import FeatureSettings
from sam2vss_lib.isam2.features.extract import extract_features
from sam2vss_lib.isam2.features.pooling import MaskletPool
from sam2vss_lib.isam2.features.store import FeatureStore
from sam2vss_lib.masklets.store import MaskletStore
from tests.isam2.classifiers.common import NAMES, planted, training_set
from tests.isam2.features.common import write_tiny_masklets
from tests.pretended_gpu.gpu import pretended_gpu
from tests.pretended_gpu.stops import Stops
from tests.pretended_gpu.tensors import on_gpu, on_host

ENCODERS = (
    "sam2:demo@fpn16",
    "sam2:demo@fpn",
    "sam2:demo@trunk32",
    "segformer-micro@all",
    "cffm-micro@fuse",
    "cffm-micro@clip",
)


def features_of(encoder: Encoder, images: list[NDArray[np.uint8]]) -> list[torch.Tensor]:
    return [on_host(encoder.encode(image)) for image in images[:1]]


@pytest.mark.parametrize("spec", ENCODERS)
def test_encoders_are_those_of_the_cpu(spec: str, images: list[NDArray[np.uint8]]) -> None:
    expected = features_of(load_encoder(spec), images)
    with pretended_gpu() as stops:
        encoder = load_encoder(spec, "cuda")
        stops.taken()
        found = features_of(encoder, images)
        assert not stops.of("read"), str(stops)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


def test_features_are_pooled_as_on_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(6, 5, 7, generator=generator) for _ in range(2)]
    masks = torch.rand(40, 24, 32, generator=generator) > 0.9
    pools = MaskletPool(), MaskletPool()
    for one in maps:
        pools[0].add(one, masks)
    expected = pools[0].result()
    with pretended_gpu() as stops:
        for one in maps:
            pools[1].add(on_gpu(one), on_gpu(masks))
        mean, weight = on_host(tuple(pools[1].result()))
        assert not stops.of("read"), str(stops)
    torch.testing.assert_close(mean, expected.mean)
    assert torch.equal(weight, expected.weight)


@pytest.mark.parametrize("pool", ["masklet", "frame"])
def test_features_are_stored_as_on_the_cpu(tiny_vspw: Path, tmp_path: Path, pool: Any) -> None:
    dataset = open_dataset(tiny_vspw, "val")
    masklets, settings = MaskletStore(tmp_path / "masklets"), FeatureSettings(pool=pool)
    write_tiny_masklets(masklets, dataset)
    spec, stores = "segformer-micro@4", [FeatureStore(tmp_path / name) for name in ("cpu", "gpu")]
    extract_features(dataset, masklets, load_encoder(spec), stores[0], settings)
    with pretended_gpu():
        extract_features(dataset, masklets, load_encoder(spec, "cuda"), stores[1], settings)
    for clip in dataset:
        expected, found = (store.read(clip.name).rows for store in stores)
        for name, value in vars(expected).items():
            np.testing.assert_allclose(getattr(found, name), value, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("weighting", ["none", "inverse_sqrt"])
def test_a_classifier_is_fitted_as_on_the_cpu(weighting: Any) -> None:
    settings = ClassifierSettings(
        hidden=8, epochs=3, batch_size=64, dropout=0, class_weighting=weighting
    )
    training, (rows, _) = training_set(), planted(3, 20)
    expected = fit(training, NAMES, settings)
    with pretended_gpu():
        found = fit(training, NAMES, settings, device="cuda")
        logits = found.logits(rows)
        sha256 = found.sha256()
    assert len(sha256) == 64
    assert found.best_epoch == expected.best_epoch
    torch.testing.assert_close(logits, expected.logits(rows), rtol=1e-3, atol=1e-3)
    for one, other in zip(found.history, expected.history, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_a_classifier_asks_by_epochs_not_by_steps(gpu: Stops) -> None:
    asked: list[int] = []
    for rows in (8, 64):
        settings = ClassifierSettings(hidden=8, epochs=2, batch_size=rows)
        fit(training_set(), NAMES, settings, device="cuda")
        asked.append(len(gpu.taken().of("read")))
    assert asked[0] == asked[1]
