"""Tiny image-text models with random weights, as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_VISION: dict[str, Any] = {**_SIZES, "image_size": 32, "patch_size": 8}
_TEXT: dict[str, Any] = {**_SIZES, "max_position_embeddings": 16}
_SQUARE: Any = {"height": 32, "width": 32}
_WORDS = ("a", "photo", "of", "the", "in", "video", "sky", "road", "car", "vehicle", "red", "blue")


def _clip_tokenizer() -> Any:
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    return hf.CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])


def _word_tokenizer() -> Any:
    vocab = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *_WORDS])}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=made, **marks)


def clip() -> tuple[Any, Any, Any]:
    tokenizer = _clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**_TEXT, **ends, "pad_token_id": 0, "vocab_size": len(tokenizer)}
    config = hf.CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    images = hf.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size=_SQUARE, image_mean=[0.5, 0.4, 0.3]
    )
    return hf.CLIPModel(config), images, tokenizer


def siglip() -> tuple[Any, Any, Any]:
    tokenizer = _word_tokenizer()
    text = {**_TEXT, "vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1}
    config = hf.SiglipConfig(text_config=text, vision_config=_VISION)
    return hf.SiglipModel(config), hf.SiglipImageProcessor(size=_SQUARE), tokenizer


def siglip2() -> tuple[Any, Any, Any]:
    tokenizer = _word_tokenizer()
    text = {**_TEXT, "vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1}
    vision = {**_SIZES, "num_patches": 16, "patch_size": 8}
    config = hf.Siglip2Config(text_config=text, vision_config=vision)
    images = hf.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    return hf.Siglip2Model(config), images, tokenizer


KINDS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    make.__name__: make for make in (clip, siglip, siglip2)
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
            network, *readers = KINDS[kind]()
            with torch.no_grad():  # fresh weights say nearly the same of everything
                for value in network.parameters():
                    if value.ndim > 1:
                        value.mul_(3)
            for part in (network, *readers):
                part.save_pretrained(path)
        return path

    return save
