"""Tiny video models of every class, with random weights, as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

_WIDTH = 128  # memories have 64 channels, which the classes take for granted, and are narrower
_MEMORY: dict[str, Any] = {
    "num_maskmem": 3,
    "memory_attention_hidden_size": _WIDTH,
    "memory_attention_num_layers": 1,
    "memory_encoder_hidden_size": _WIDTH,
    "mask_downsampler_embed_dim": _WIDTH,
    "memory_fuser_embed_dim": _WIDTH,
    "memory_fuser_intermediate_dim": 4 * _WIDTH,
    "memory_fuser_num_layers": 1,
}
_DECODER: dict[str, Any] = {"hidden_size": _WIDTH}


def _hiera(side_px: int) -> Any:
    stages: dict[str, Any] = {
        "hidden_size": 16,
        "embed_dim_per_stage": [16, 32, 64, 128],
        "blocks_per_stage": [1, 1, 2, 1],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
        "image_size": [side_px] * 2,
    }
    return hf.Sam2VisionConfig(
        backbone_config=hf.Sam2HieraDetConfig(**stages),
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[side_px // stride] * 2 for stride in (4, 8, 16)],
        fpn_hidden_size=_WIDTH,
    )


def _sam2_processor(side_px: int) -> Any:
    size = {"height": side_px, "width": side_px}
    return hf.Sam2VideoProcessor(
        hf.Sam2ImageProcessor(size=size), hf.Sam2VideoVideoProcessor(size=size)
    )


def sam2_video(side_px: int = 64) -> tuple[Any, Any]:
    config = hf.Sam2VideoConfig(
        vision_config=_hiera(side_px),
        prompt_encoder_config={"hidden_size": _WIDTH, "image_size": side_px},
        mask_decoder_config=_DECODER,
        image_size=side_px,
        memory_attention_feed_forward_hidden_size=_WIDTH,
        memory_attention_rope_feat_sizes=[side_px // 16] * 2,
        **_MEMORY,
    )
    return hf.Sam2VideoModel(config), _sam2_processor(side_px)


def edgetam_video(side_px: int = 64) -> tuple[Any, Any]:
    """Its published weights have an encoder of the package timm, in whose place is a Hiera here."""
    config = hf.EdgeTamVideoConfig(
        vision_config=_hiera(side_px),
        prompt_encoder_config={"hidden_size": _WIDTH, "image_size": side_px},
        mask_decoder_config=_DECODER,
        image_size=side_px,
        memory_attention_mlp_hidden_size=_WIDTH,
        memory_attention_rope_feat_sizes=[side_px // 16] * 2,
        memory_attention_rope_k_sizes=[2, 2],
        perceiver_resampler_num_latents=4,
        perceiver_resampler_num_latents_2d=4,
        **_MEMORY,
    )
    return hf.EdgeTamVideoModel(config), _sam2_processor(side_px)


def _sam3_vision(side_px: int) -> Any:
    backbone = hf.Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=side_px,
        pretrain_image_size=56,
        window_size=4,
        global_attn_indexes=[1],
    )
    return hf.Sam3VisionConfig(backbone_config=backbone, fpn_hidden_size=_WIDTH)


def sam3_tracker_video(side_px: int = 112) -> tuple[Any, Any]:
    sizes: dict[str, Any] = {"image_size": side_px}
    config = hf.Sam3TrackerVideoConfig(
        vision_config=_sam3_vision(side_px),
        prompt_encoder_config={"hidden_size": _WIDTH},
        mask_decoder_config=_DECODER,
        memory_attention_feed_forward_hidden_size=_WIDTH,
        **sizes,
        **_MEMORY,
    )
    size = {"height": side_px, "width": side_px}
    processor = hf.Sam3TrackerVideoProcessor(
        hf.Sam3ImageProcessor(size=size), hf.Sam2VideoVideoProcessor(size=size)
    )
    return hf.Sam3TrackerVideoModel(config), processor


def whole_sam3(side_px: int = 112) -> Any:
    """SAM 3 with its detector, of which the tracker is a part."""
    layers: dict[str, Any] = {
        "hidden_size": _WIDTH,
        "num_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    words: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 100,
    }
    detector = hf.Sam3Config(
        vision_config=_sam3_vision(side_px),
        text_config=words,
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config={**layers, "num_queries": 4},
        mask_decoder_config={"hidden_size": _WIDTH, "num_attention_heads": 2},
    )
    tracker = sam3_tracker_video(side_px)[0].config
    return hf.Sam3VideoModel(hf.Sam3VideoConfig(detector_config=detector, tracker_config=tracker))


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "Sam2VideoModel": sam2_video,
    "EdgeTamVideoModel": edgetam_video,
    "Sam3TrackerVideoModel": sam3_tracker_video,
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a class, made once; not to be changed."""
    folder = tmp_path_factory.mktemp("models")

    def save(kind: str) -> Path:
        path = folder / kind
        if not path.exists():
            hf.logging.disable_progress_bar()
            torch.manual_seed(5)
            network, processor = KINDS[kind]()
            with torch.no_grad():  # fresh weights of these are all zeros, or give masks of noise
                places = network.prompt_encoder.shared_embedding.positional_embedding
                network.shared_image_embedding.positional_embedding.copy_(places)  # as published
                for name, value in network.named_parameters():
                    if value.ndim > 1:
                        value.normal_(std=0.15 if "embed" in name else 0.08)
            network.save_pretrained(path)
            processor.save_pretrained(path)
        return path

    return save
