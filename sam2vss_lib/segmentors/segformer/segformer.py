"""SegFormer on the `transformers` classes: building, loading, and inference on frames.

The network's logits, at the size of its input over its first stride (4 in the published models, 8
in the demo's), go to the size of the frame by bilinear interpolation (`align_corners=False`).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2vss_lib.segmentors.base import Prediction, batches
from sam2vss_lib.segmentors.mit import MitSegmentor, set_published_eps
from sam2vss_lib.segmentors.mmseg_names import is_published, segformer_from_published
from sam2vss_lib.segmentors.pixels import labels_from_logits
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.segmentors.weights import classifier_of, load_fitting, read_weights, weights_file
from sam2vss_lib.storage.files import sha256_file

_CLASSIFIER = "decode_head.classifier.weight"


class SegFormer(MitSegmentor):
    """A SegFormer ready to use; its network is a `SegformerForSemanticSegmentation`."""

    @torch.inference_mode()
    def predict(self, frames: Tensor, *, with_probabilities: bool = False) -> Prediction:
        """Segment a batch of frames, (B, H, W, 3) uint8 RGB, on any device.

        Returns:
            Labels (B, H, W) uint8 and, if wanted, probabilities (B, C, h, w) float16, where (h, w)
            is the size of the network's input over its first stride.

        Raises:
            SettingsError: `frames` has another shape or dtype.
        """
        pixels = self.network_input(frames)
        with self.options.autocast(self.device):
            logits = self.network(pixels).logits.float()
        frame_size = frames.shape[1:3]
        sizes = [frame_size] if self.input_size == "frame" else [pixels.shape[2:], frame_size]
        probabilities = logits.softmax(1).half() if with_probabilities else None
        return Prediction(labels_from_logits(logits, *sizes), probabilities)

    def predict_clip(
        self, frames: Iterable[NDArray[np.uint8]], *, with_probabilities: bool = False
    ) -> Iterator[Prediction]:
        """Segment the frames of a clip, each by itself; see `Segmentor.predict_clip`."""
        for batch in batches(frames, self.options.batch_frames):
            stacked = torch.from_numpy(np.stack(batch))
            yield from self.predict(stacked, with_probabilities=with_probabilities).frames()


def build_segformer(architecture: Mapping[str, Any]) -> Any:
    """A `SegformerForSemanticSegmentation` with random weights, in training mode, on the CPU.

    The architecture is given as fields of a `SegformerConfig`.
    """
    from transformers import SegformerConfig, SegformerForSemanticSegmentation  # takes seconds

    return SegformerForSemanticSegmentation(SegformerConfig(**architecture))


def load_segformer(
    name: str,
    architecture: Mapping[str, Any],
    checkpoint: Path,
    device: str | torch.device = "cpu",
    options: InferenceOptions | None = None,
) -> SegFormer:
    """Load a SegFormer.

    Weights in the layout of the published VSPW models (mmsegmentation) come with the published
    epsilon of the norms and the published test size; those in Hugging Face layout run as
    `transformers` runs them, at the frame's own size.

    Args:
        name: name in the registry.
        architecture: fields of a `transformers.SegformerConfig`. Number of classes and width of the
            decoder are taken from the weights where they are not given.
        checkpoint: a Hugging Face folder, or a weights file in either layout.
        device: where to put the network.
        options: how to run it; by default in float32.

    Raises:
        DataError: the weights are missing, not readable, or do not fit the architecture.
    """
    path = weights_file(checkpoint)
    state = read_weights(path)
    published = is_published(state)
    if published:
        state = segformer_from_published(state)
    wanted = "a SegFormer for semantic segmentation in Hugging Face or mmsegmentation layout"
    num_labels, decoder_hidden_size = classifier_of(state, _CLASSIFIER, path, wanted).shape[:2]
    sizes = {"num_labels": num_labels, "decoder_hidden_size": decoder_hidden_size}
    network = build_segformer({**sizes, **architecture})
    if published:
        set_published_eps(network.segformer)
    load_fitting(state, network, name, path)
    device = torch.device(device)
    return SegFormer(
        name,
        network.float().to(device).eval(),
        network.decode_head.classifier.out_channels,
        sha256_file(path),
        device,
        options or InferenceOptions(),
        "published" if published else "frame",
    )
