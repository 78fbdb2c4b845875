"""Layers of base models of transformers as encoders."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from numpy.typing import NDArray

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.isam2.encoders import load_encoder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 64,
        "patch_size": 16,
        "out_indices": [0, 1, 2, 3],
    }
    config = hf.BeitConfig(**sizes)
    hf.logging.disable_progress_bar()
    hf.BeitForSemanticSegmentation(config).save_pretrained(tmp_path)
    size = {"height": 64, "width": 64}
    hf.BeitImageProcessor(size=size, do_center_crop=False).save_pretrained(tmp_path)
    return tmp_path


def test_a_layer_of_tokens_is_a_map(model: Path, image: NDArray[np.uint8]) -> None:
    encoder = load_encoder(f"hf:{model}@beit.layers.2")
    assert (encoder.dim, encoder.stride) == (16, 16)
    found = encoder.encode(image)
    network = hf.BeitForSemanticSegmentation.from_pretrained(model).eval()
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    x = torch.nn.functional.interpolate(x, (64, 64), mode="bilinear", antialias=True)
    with torch.no_grad():
        tokens = network(2 * x - 1, output_hidden_states=True).hidden_states[3][0, 1:]
    torch.testing.assert_close(found, tokens.T.reshape(16, 4, 4))
    other = load_encoder(f"hf:{model}@beit.layers.1")
    assert other.sha256 != encoder.sha256


def test_a_layer_of_maps_is_taken_as_it_is(model: Path, image: NDArray[np.uint8]) -> None:
    encoder = load_encoder(f"hf:{model}@decode_head.fpn_bottleneck")
    assert encoder.encode(image).shape == (encoder.dim, 64 // encoder.stride, 64 // encoder.stride)


def test_unknown_layers_are_refused(model: Path) -> None:
    for spec in (f"hf:{model}", f"hf:{model}@nowhere"):
        with pytest.raises(SettingsError, match="the name of a module in beit, fpn, decode"):
            load_encoder(spec)
