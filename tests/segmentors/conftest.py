"""A SegFormer of a few thousand weights, as random as its answers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sam2vss_lib.segmentors.segformer.segformer import SegFormer, build_segformer, load_segformer

TINY: dict[str, Any] = {
    "num_labels": 3,
    "hidden_sizes": [8, 8, 8, 8],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 2],
    "mlp_ratios": [1, 1, 1, 1],
    "decoder_hidden_size": 8,
    "drop_path_rate": 0.0,
    "classifier_dropout_prob": 0.0,
}


@pytest.fixture
def tiny_architecture() -> dict[str, Any]:
    return dict(TINY)


@pytest.fixture
def tiny_checkpoint(tmp_path: Path) -> Path:
    """Weights large enough that labels vary from pixel to pixel (fresh ones give one class)."""
    state = build_segformer(TINY).state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if value.ndim > 1:
            state[name] = 0.5 * torch.randn(value.shape, generator=generator)
    state["decode_head.classifier.bias"] = torch.zeros(TINY["num_labels"])
    path = tmp_path / "tiny.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def tiny_segformer(tiny_checkpoint: Path) -> SegFormer:
    return load_segformer("tiny", TINY, tiny_checkpoint)


@pytest.fixture
def frames() -> torch.Tensor:
    """(3, 45, 70, 3) uint8: blobs of colour; neither side is a multiple of 32."""
    generator = torch.Generator().manual_seed(1)
    coarse = 255 * torch.rand(3, 3, 7, 9, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (45, 70), mode="bilinear", align_corners=False)
    return fine.permute(0, 2, 3, 1).to(torch.uint8)
