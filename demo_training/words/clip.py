"""Training of the demo CLIP on captions of the generated data set, restartable at any moment.

Run as `python -m demo_training.words.clip --out runs/demo-words`; the folder `model` that it leaves
there is what `sam2vss_lib/isam2/words/demo/` holds.
"""

import argparse
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from demo_training.segmentors.optimisation import TrainSettings, optimise
from demo_training.words.captions import Region, caption_of, every_text, regions_of
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.isam2.words.looks import masked_crop
from sam2vss_lib.isam2.words.settings import LookSettings

#: side of the images, and the tokens of a caption at most
SIDE_PX, TOKENS = 64, 16
VISION: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": SIDE_PX,
    "patch_size": 8,
}
TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": TOKENS,
}
WIDTH = 64  # of the vectors of both sides
RECIPE = TrainSettings(steps=1200, batch=48, crop_px=SIDE_PX, lr=1e-3)
FRAME_STEP = 4
_MEAN, _STD = 0.5, 0.25
_LARGEST_MARGIN = 0.6
_GAIN, _CAST = 0.25, 0.06


def tokenizer_of(names: Sequence[str]) -> Any:
    """CLIP's kind of tokenizer, to which every word of the captions is one token.

    It follows from the words alone, so that an interrupted training goes on with the same numbers.
    """
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    merges: Any = _merges(
        {word for text in every_text(names) for word in re.findall("[a-z]+", text)}
    )
    words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    vocab = {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return transformers.CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=TOKENS)


def _merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs to be joined, the most frequent first, until every word is whole."""
    parts = [[*word[:-1], f"{word[-1]}</w>"] for word in words]
    merges = list[tuple[str, str]]()
    while counts := Counter(pair for part in parts for pair in pairwise(part)):
        pair = max(counts, key=lambda one: (counts[one], one))
        merges.append(pair)
        for part in parts:
            for i in range(len(part) - 2, -1, -1):
                if (part[i], part[i + 1 : i + 2]) == (pair[0], [pair[1]]):
                    part[i : i + 2] = ["".join(pair)]
    return merges


def untrained(tokenizer: Any, seed: int) -> Any:
    """A CLIP with random weights, which follow from the seed."""
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**TEXT, **ends, "pad_token_id": tokenizer.eos_token_id, "vocab_size": len(tokenizer)}
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=WIDTH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.CLIPModel(config).train()


def draw_images(regions: Sequence[Region], rng: np.random.Generator) -> Tensor:
    """Crops of regions, (n, 3, S, S) float32: of random margin, mirror image, light and outside."""
    images = list[Tensor]()
    for region in regions:
        look = LookSettings(
            outside="mean" if rng.random() < 0.5 else "kept",
            margin=float(rng.uniform(0, _LARGEST_MARGIN)),
        )
        colour = np.full(3, round(_MEAN * 255), np.uint8)
        crop = masked_crop(region.image, region.mask, colour, look)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        image = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255
        size = (SIDE_PX, SIDE_PX)
        image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
        gain = rng.uniform(1 - _GAIN, 1 + _GAIN) + rng.uniform(-_CAST, _CAST, 3)
        light = torch.tensor(gain, dtype=torch.float32).view(1, 3, 1, 1)
        images.append((image * light).clamp(0, 1))
    return (torch.cat(images) - _MEAN) / _STD


def contrast(cosines: Tensor, true: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss where several captions of a batch are true of an image.

    Args:
        cosines: (n, n) of images and captions.
        true: (n, n) bool, of which images a caption is true; the diagonal is.
        scale: of the cosines.

    Returns:
        A scalar: cross entropy with all true ones equally likely, both ways.
    """
    wanted = true.float()
    of_images = F.cross_entropy(scale * cosines, wanted / wanted.sum(1, keepdim=True))
    of_texts = F.cross_entropy(scale * cosines.T, (wanted / wanted.sum(0)).T)
    return (of_images + of_texts) / 2


def train(
    regions: Sequence[Region], names: Sequence[str], settings: TrainSettings, checkpoint: Path
) -> tuple[nn.Module, Any]:
    """Train a CLIP on the CPU, going on from `checkpoint` if it exists: the network, its tokenizer.

    Raises:
        DataError: `checkpoint` is of another recipe, or not readable.
    """
    tokenizer = tokenizer_of(names)
    network = untrained(tokenizer, settings.seed)
    by_class = [[r for r in regions if r.label == label] for label in range(len(names))]
    by_class = [same for same in by_class if same]

    def loss_of(rng: np.random.Generator) -> Tensor:
        drawn = list[Region]()
        for _ in range(settings.batch):  # rare classes as often as common ones
            same = by_class[int(rng.integers(len(by_class)))]
            drawn.append(same[int(rng.integers(len(same)))])
        captions = [caption_of(region, names, rng) for region in drawn]
        read = tokenizer(
            [caption.text for caption in captions],
            padding="max_length",
            max_length=TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        texts = network.get_text_features(**read).pooler_output
        images = network.get_image_features(draw_images(drawn, rng)).pooler_output
        cosines = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
        true = torch.tensor([[caption.of(region) for caption in captions] for region in drawn])
        return contrast(cosines, true, network.logit_scale.exp().clamp(max=100))

    optimise(network, loss_of, settings, {"vision": VISION, "text": TEXT}, checkpoint)
    return network.eval(), tokenizer


def save(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model as transformers reads it, in float16."""
    network.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    side: Any = {"height": SIDE_PX, "width": SIDE_PX}
    transformers.CLIPImageProcessor(
        size=side, do_center_crop=False, image_mean=[_MEAN] * 3, image_std=[_STD] * 3
    ).save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the demo CLIP and save it."""
    parser = argparse.ArgumentParser(description="Train the demo image-text model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and model")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    dataset = open_dataset("demo", "train-all")
    regions = regions_of(dataset, FRAME_STEP)
    trained = train(regions, dataset.class_names or (), RECIPE, options.out / "clip.pt")
    save(*trained, options.out / "model")


if __name__ == "__main__":
    main()
