"""Tiny models of every kind, with random weights, as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from numpy.typing import NDArray

from sam2vss_lib.storage.files import read_json, write_json

LABELS = ("Sky", "road, route", "car", "unicorn")
_ID2LABEL: dict[str, Any] = {
    "id2label": dict(enumerate(LABELS)),
    "label2id": {label: i for i, label in enumerate(LABELS)},
}
_VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 16,
}
_EOMT: dict[str, Any] = {
    **_VIT,
    "num_blocks": 2,
    "num_queries": 8,
    "num_register_tokens": 1,
    "mlp_ratio": 1,
}
_STAGES: dict[str, Any] = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
_MASKS: dict[str, Any] = {
    "hidden_dim": 32,
    "encoder_feedforward_dim": 16,
    "dim_feedforward": 16,
    "num_attention_heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_queries": 8,
}
_LAYERS: dict[str, Any] = {"out_indices": [0, 1, 2, 3]}
_SQUARE = {"height": 64, "width": 64}


def _swin() -> Any:
    sizes: dict[str, Any] = {"depths": [1] * 4, "num_heads": [1, 2, 2, 2], "embed_dim": 8}
    return hf.SwinConfig(image_size=64, window_size=4, **_STAGES, **sizes)


def segformer() -> tuple[Any, Any]:
    sizes: dict[str, Any] = {"hidden_sizes": [8] * 4, "depths": [1] * 4, "decoder_hidden_size": 8}
    config = hf.SegformerConfig(num_attention_heads=[1, 2, 2, 2], **sizes, **_ID2LABEL)
    return hf.SegformerForSemanticSegmentation(config), hf.SegformerImageProcessor(size=_SQUARE)


def upernet() -> tuple[Any, Any]:
    sizes: dict[str, Any] = {"hidden_sizes": [8] * 4, "depths": [1] * 4}
    backbone = hf.ConvNextConfig(**_STAGES, **sizes)
    heads = {"hidden_size": 16, "auxiliary_in_channels": 8, "auxiliary_channels": 8}
    config = hf.UperNetConfig(backbone_config=backbone, **heads, **_ID2LABEL)
    return hf.UperNetForSemanticSegmentation(config), hf.SegformerImageProcessor(size=_SQUARE)


def dpt() -> tuple[Any, Any]:
    sizes: dict[str, Any] = {"neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8}
    config = hf.DPTConfig(
        **_VIT, intermediate_size=32, backbone_out_indices=[0, 1, 2, 3], **sizes, **_ID2LABEL
    )
    return hf.DPTForSemanticSegmentation(config), hf.DPTImageProcessor(size=_SQUARE)


def beit() -> tuple[Any, Any]:
    sizes: dict[str, Any] = {"intermediate_size": 32, "auxiliary_channels": 8}
    config = hf.BeitConfig(**_VIT, **sizes, **_LAYERS, **_ID2LABEL)
    processor = hf.BeitImageProcessor(size=_SQUARE, do_center_crop=False)
    return hf.BeitForSemanticSegmentation(config), processor


def mask2former() -> tuple[Any, Any]:
    sizes = {"feature_size": 32, "mask_feature_size": 32}
    config = hf.Mask2FormerConfig(backbone_config=_swin(), **sizes, **_MASKS, **_ID2LABEL)
    processor = hf.Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return hf.Mask2FormerForUniversalSegmentation(config), processor


def oneformer() -> tuple[Any, Any]:
    words = {"text_encoder_width": 16, "text_encoder_num_layers": 1, "text_encoder_vocab_size": 64}
    sizes = {"conv_dim": 32, "mask_dim": 32}
    config = hf.OneFormerConfig(backbone_config=_swin(), **sizes, **words, **_MASKS, **_ID2LABEL)
    processor = hf.OneFormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return hf.OneFormerForUniversalSegmentation(config), processor


def eomt() -> tuple[Any, Any]:
    config = hf.EomtConfig(**_EOMT, **_ID2LABEL)
    size: Any = {"shortest_edge": 64, "longest_edge": None}
    processor = hf.EomtImageProcessor(size=size, do_split_image=True)
    return hf.EomtForUniversalSegmentation(config), processor


def eomt_padded() -> tuple[Any, Any]:
    config = hf.EomtConfig(**_EOMT, **_ID2LABEL)
    size = {"shortest_edge": 64, "longest_edge": 64}
    return hf.EomtForUniversalSegmentation(config), hf.EomtImageProcessor(size=size, do_pad=True)


def videomt() -> tuple[Any, Any]:
    config = hf.VideomtConfig(**_EOMT, **_ID2LABEL)
    return hf.VideomtForUniversalSegmentation(config), hf.VideomtVideoProcessor(size=_SQUARE)


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    make.__name__: make
    for make in (segformer, upernet, dpt, beit, mask2former, oneformer, eomt, eomt_padded, videomt)
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a kind, made once; not to be changed."""
    folder = tmp_path_factory.mktemp("models")

    def save(kind: str) -> Path:
        path = folder / kind
        if not path.exists():
            hf.logging.disable_progress_bar()
            torch.manual_seed(5)
            network, processor = KINDS[kind]()
            with torch.no_grad():  # fresh weights give one label nearly everywhere
                for value in network.parameters():
                    if value.ndim > 1:
                        value.mul_(1.5)
            network.save_pretrained(path)
            processor.save_pretrained(path)
            if kind == "oneformer":
                _add_words(path)
        return path

    return save


def _add_words(path: Path) -> None:
    """A tokenizer of single letters, and the list of classes that published ones would fetch."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = hf.CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    tokenizer.save_pretrained(path)
    file = path / "preprocessor_config.json"
    fetched = {"class_info_file": "ade20k_panoptic.json", "repo_path": "shi-labs/oneformer_demo"}
    write_json(file, {**read_json(file), **fetched})


@pytest.fixture
def clip() -> list[NDArray[np.uint8]]:
    """5 frames (48, 80, 3) of blobs of colour, each another."""
    coarse = np.random.default_rng(1).integers(0, 256, (5, 6, 10, 3), dtype=np.uint8)
    return list(np.kron(coarse, np.ones((1, 8, 8, 1), dtype=np.uint8)))
