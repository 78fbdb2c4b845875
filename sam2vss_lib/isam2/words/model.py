"""An image-text model of `transformers`, CLIP, SigLIP or SigLIP 2: the words and images it reads.

All vectors are of length 1, so that products of words and images are cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.segmentors.hugging_face.segmentor import recorded
from sam2vss_lib.storage.files import sha256_file, sha256_json
from sam2vss_lib.storage.hugging_face import (
    OFFLINE,
    check_weights,
    configs_sha256,
    model_folder,
    model_name,
    reading,
    weights_sha256,
)

DEMO = Path(__file__).parent / "demo"
#: by `model_type`; SigLIP 2 of a fixed size is of type siglip, too
_KINDS = {"clip": "CLIPModel", "siglip": "SiglipModel", "siglip2": "Siglip2Model"}
_WORDS = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model")
_AT_ONCE = 64  # texts

_Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageTextModel:
    """A model ready to use."""

    name: str  # for people and records
    sha256: str  # hash of its weights, configurations and tokenizer
    network: Any  # in evaluation mode, float32
    processor: Any  # of images
    tokenizer: Any
    device: torch.device

    @property
    def kind(self) -> str:
        """`clip`, `siglip` or `siglip2`, which takes frames in their own proportions."""
        return self.network.config.model_type

    @property
    def scale(self) -> float:
        """What the model multiplies cosines by."""
        return float(self.network.logit_scale.detach().exp())

    @property
    def own_side_px(self) -> int:
        """Side of the images that the model was made for."""
        config = self.network.config.vision_config
        if self.kind == "siglip2":
            return isqrt(config.num_patches) * config.patch_size
        return config.image_size

    @property
    def patch_px(self) -> int:
        """Side of a patch."""
        return self.network.config.vision_config.patch_size

    @torch.inference_mode()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """The vectors (n, D) of texts, float32 on the CPU; what does not fit the model is cut."""
        length = self.network.config.text_config.max_position_embeddings
        parts = list[Tensor]()
        for first in range(0, len(texts), _AT_ONCE):
            read = self.tokenizer(
                list(texts[first : first + _AT_ONCE]),
                padding="max_length",
                max_length=length,
                truncation=True,
                return_tensors="pt",
            ).to(self.device)
            # SigLIP was trained to read its padding
            mask = {"attention_mask": read["attention_mask"]} if self.kind == "clip" else {}
            found = self.network.get_text_features(input_ids=read["input_ids"], **mask)
            parts.append(F.normalize(found.pooler_output.float(), dim=-1).cpu())
        return torch.cat(parts)

    @torch.inference_mode()
    def image_features(self, images: Sequence[_Image]) -> Tensor:
        """The vectors (n, D) of square images (S, S, 3) uint8 RGB of any sizes, on the device."""
        found = self.network.get_image_features(**self._read(images, self.own_side_px))
        return F.normalize(found.pooler_output.float(), dim=-1)

    @torch.inference_mode()
    def patch_features(self, image: _Image, side_px: int | None = None) -> Tensor:
        """The vectors of a frame's patches, each as if the model's last attention saw it alone.

        That is the vector of the whole image, were all of it like the patch. What attention in the
        last layer gathers from elsewhere would say of every patch what the image is of.

        Args:
            image: (H, W, 3) uint8 RGB.
            side_px: of the square that it is brought to, or of one of as many pixels; the model's
                own by default.

        Returns:
            (D, h, w) float32 on the device.
        """
        side = side_px or self.own_side_px
        read, vision = self._read([image], side), self.network.vision_model
        h, w = side // self.patch_px, side // self.patch_px
        if self.kind == "siglip2":
            h, w = read["spatial_shapes"][0].tolist()
        if self.kind == "clip":
            *before, last = vision.encoder.layers
            with recorded(before[-1] if before else vision.pre_layrnorm) as outputs:
                self.network.get_image_features(**read)
            found = outputs[-1] if isinstance(outputs[-1], Tensor) else outputs[-1][0]
            alone = last(found[0, 1:, None], attention_mask=None)
            alone = alone if isinstance(alone, Tensor) else alone[0]
            vectors = self.network.visual_projection(vision.post_layernorm(alone[:, 0]))
        else:
            tokens = self.network.get_image_features(**read).last_hidden_state[0, : h * w]
            vectors = vision.head(tokens[:, None])
        return F.normalize(vectors.float(), dim=-1).T.reshape(-1, h, w)

    def _read(self, images: Sequence[_Image], side_px: int) -> dict[str, Any]:
        """What the network takes: images brought to squares, or to as many patches."""
        given: dict[str, Any] = {"max_num_patches": (side_px // self.patch_px) ** 2}
        options: dict[str, Any] = {}
        if self.kind != "siglip2":
            given = {"size": {"height": side_px, "width": side_px}, "do_center_crop": False}
            options = {"interpolate_pos_encoding": side_px != self.own_side_px}
        read = self.processor(
            list(images), return_tensors="pt", input_data_format="channels_last", **given
        )
        return {**{key: value.to(self.device) for key, value in read.items()}, **options}


def load_image_text(spec: str, device: str | torch.device = "cpu") -> ImageTextModel:
    """Load an image-text model; nothing is ever downloaded.

    Args:
        spec: `demo`, the small one of this package, or `hf:NAME`, a folder as `save_pretrained`
            writes it or the name of a model in the local Hugging Face cache.
        device: where to put the network.

    Raises:
        DataError: no such model here, its weights are missing, pickled or do not fit, or nothing
            says how it reads images or words.
        SettingsError: no such name, or a model of another kind.
    """
    import transformers

    kind, _, rest = spec.partition(":")
    if spec != "demo" and not (kind == "hf" and rest):
        raise SettingsError(f"model {spec}: is no image-text model; give demo, or hf:NAME")
    folder = DEMO if spec == "demo" else model_folder(rest)
    with reading(folder):
        config: Any = transformers.AutoConfig.from_pretrained(folder, **OFFLINE)
    if config.model_type not in _KINDS:
        found = (config.architectures or [f"model of type {config.model_type}"])[0]
        raise SettingsError(
            f"{folder}: holds a {found}, which does not compare images with words; use CLIP, "
            "SigLIP or SigLIP 2 in the format of transformers"
        )
    words = [folder / name for name in _WORDS if (folder / name).is_file()]
    if not words:
        raise DataError(
            f"{folder}: holds no {_WORDS[0]}, which says how words are read; save the model's "
            "tokenizer there"
        )
    hashes = {path.name: sha256_file(path) for path in words}
    sources = [weights_sha256(folder), configs_sha256(folder), hashes]
    with reading(folder):
        network, report = getattr(transformers, _KINDS[config.model_type]).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        processor = transformers.AutoImageProcessor.from_pretrained(folder, **OFFLINE)
    check_weights(network, report, folder)
    with reading(folder):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **OFFLINE)
        except ImportError as error:  # of SigLIP's first version
            raise DataError(
                f"{folder}: its tokenizer needs another package ({first_line(error)}); install it"
            ) from None
    place = torch.device(device)
    name = "demo" if spec == "demo" else model_name(rest)
    network = network.float().to(place).eval()
    return ImageTextModel(name, sha256_json(sources), network, processor, tokenizer, place)
