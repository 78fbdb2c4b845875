"""The video models of `transformers` by their own sessions, as the engine of prompts takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.masklets.hugging_face.networks import read_network
from sam2vss_lib.storage.hugging_face import configs_sha256, reading

Features: TypeAlias = dict[str, list[Tensor]]  # of a frame, as sessions keep them
Session: TypeAlias = Any  # a `Sam2VideoInferenceSession` or another class's
_PROCESSORS = {"Sam3TrackerVideoModel": "Sam3TrackerVideoProcessor"}
#: objects whose memories are written at once, some 50 MB each at 1024 px; all else is done one by
#: one in these classes, and in EdgeTAM's that too
_OBJECTS_AT_ONCE = {"EdgeTamVideoModel": 1}
_MANY = 16


@dataclass(frozen=True)
class SessionModel:
    """A network and its processor; a `VideoModel`."""

    name: str
    network: Any
    processor: Any
    checkpoint_sha256: str
    config_sha256: str  # of the configurations of network and processor
    device: torch.device
    objects_at_once: int
    made_with: Mapping[str, str]  # class, weights by name, and version of transformers

    @property
    def side_px(self) -> int:
        """Width and height of the frames that the network reads."""
        return self.network.image_size

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Context in which the model runs with `precision` ("float32" or "bfloat16")."""
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def encode(self, frame: NDArray[np.uint8]) -> Features:
        """Features of an (H, W, 3) frame, resized as its processor says."""
        pixels = self.processor.image_processor(frame, return_tensors="pt")["pixel_values"]
        found = self.network.get_image_features(pixels.to(self.device), return_dict=True)
        return {
            "vision_feats": found.fpn_hidden_states,
            "vision_pos_embeds": found.fpn_position_encoding,
        }

    def decode_points(self, features: Features, points: Tensor) -> tuple[Tensor, Tensor]:
        """Three masks for each of (n, 2) points: (n, 3, h, w) logits, (n, 3) predicted IoU.

        Points are x and y in pixels of the network's input.
        """
        network = self.network
        *fine, image = [
            level.permute(1, 2, 0).unflatten(2, size)
            for level, size in zip(
                features["vision_feats"], network.backbone_feature_sizes, strict=True
            )
        ]
        sparse, dense = network.prompt_encoder(
            input_points=points[None, :, None],
            input_labels=torch.ones(1, len(points), 1, dtype=torch.int, device=points.device),
            input_boxes=None,
            input_masks=None,
        )
        logits, predicted_iou, *_ = network.mask_decoder(
            image_embeddings=image + network.no_memory_embedding.reshape(1, -1, 1, 1),
            image_positional_embeddings=network.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=fine,
        )
        return logits[0], predicted_iou[0]

    def start(self, masks: NDArray[np.bool_], num_frames: int) -> Session:
        """Objects to follow through so many frames: (n, H, W) masks on the first, n > 0."""
        session = self.processor.init_video_session(inference_device=self.device)
        # frames come encoded, but what is read of memories depends on how many there are
        session.processed_frames = dict.fromkeys(range(num_frames))
        numbers = list(range(len(masks)))
        self.processor.add_inputs_to_inference_session(
            session, frame_idx=0, obj_ids=numbers, input_masks=list(masks)
        )
        return session

    def step(self, track: Session, offset: int, features: Features) -> tuple[Tensor, Tensor]:
        """The n objects on the next frame: (n, 1, h, w) logits, (n,) logits of being present."""
        track.cache.cache_vision_features(offset, features)
        found = self.network(track, frame_idx=offset)
        past = offset - self.network.num_maskmem + 1
        for outputs in track.output_dict_per_obj.values():
            # only what later frames read is kept, so that memory does not grow with the window
            for kept in outputs.values():
                for name in ("pred_masks", "high_res_masks"):
                    kept.get(offset, {}).pop(name, None)
            for name in ("maskmem_features", "maskmem_pos_enc"):
                outputs["non_cond_frame_outputs"].get(past, {}).pop(name, None)
        return found.pred_masks.float(), found.object_score_logits.flatten().float()


def _load(
    kind: str, checkpoint: str, *, device: str | torch.device = "cpu", config: str | None = None
) -> SessionModel:
    """Load a model and its processor; see `read_network`, whose errors pass.

    Raises:
        DataError: nothing says how it reads frames, or its processor is for another size.
        SettingsError: there is a `config`, which only checkpoints of sam2 take, or no such device.
    """
    import transformers

    if config is not None:
        raise SettingsError(f"--config {config}: not for {kind}, whose folder says what it is")
    found = read_network(kind, checkpoint)
    config_sha256, network = configs_sha256(found.folder), found.network
    with reading(found.folder):
        kind_of_processor = getattr(transformers, _PROCESSORS.get(kind, "Sam2VideoProcessor"))
        processor = kind_of_processor.from_pretrained(
            found.folder, local_files_only=True, trust_remote_code=False
        )
    side = processor.image_processor.size
    sizes = {side["height"], side["width"], processor.target_size}
    if sizes != {network.image_size}:
        raise DataError(
            f"{found.folder}: its processor is for frames of {'/'.join(map(str, sorted(sizes)))} "
            f"px, its network for {network.image_size} px; save the processor that belongs to it"
        )
    try:
        device = torch.device(device)
        network = network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {device}: cannot be used here ({first_line(error)})") from None
    return SessionModel(
        found.name,
        network,
        processor,
        found.checkpoint_sha256,
        config_sha256,
        device,
        _OBJECTS_AT_ONCE.get(kind, _MANY),
        {"class": kind, "weights": found.name, "transformers": transformers.__version__},
    )


load_sam2_video: Callable[..., SessionModel] = partial(_load, "Sam2VideoModel")
load_edgetam_video: Callable[..., SessionModel] = partial(_load, "EdgeTamVideoModel")
load_sam3_tracker_video: Callable[..., SessionModel] = partial(_load, "Sam3TrackerVideoModel")
