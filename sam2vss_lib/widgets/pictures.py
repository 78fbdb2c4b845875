"""Every view as a picture: arrays for a frame with its layers, which need no browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from sam2vss_lib.views import layers
from sam2vss_lib.views.layers import Picture
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.stores import Choice

#: layers by name and title, from below; the frame itself lies under all of them
LAYERS: Mapping[str, str] = {
    "truth": "Ground truth",
    "base": "Base prediction",
    "refined": "Refined",
    "confidence": "Confidence (veiled where low)",
    "masklets": "Masklets",
    "changes": "Changed pixels",
    "boundary": "Boundary band",
}
BAND_RADIUS_PX = 2  # as the headline of mBIoU has it


def layer_view(data: ExplorerData, scene: Scene, choice: Choice, name: str) -> Picture | None:
    """One of `LAYERS`, (H, W, 3) or with opacity (H, W, 4) uint8; None where there is none."""
    truth = data.truth(scene)
    match name:
        case "truth":
            return None if truth is None else layers.colour_labels(truth, data.num_classes)
        case "base":
            return layers.colour_labels(data.labels(scene), data.num_classes)
        case "refined":
            return layers.colour_labels(data.refined(scene, choice).labels, data.num_classes)
        case "masklets":
            return layers.masklet_layer(data.top(scene, choice))
        case "changes":
            after = data.refined(scene, choice).labels
            return layers.change_layer(data.labels(scene), after, truth)
        case "boundary":
            return layers.boundary_layer(data.refined(scene, choice).labels, BAND_RADIUS_PX)
        case "confidence":
            probabilities = data.probabilities(scene)
            if probabilities is None:
                return None
            best = Image.fromarray(probabilities.max(0).astype(np.float32))
            height, width = data.clip(scene.clip).size
            resized = best.resize((width, height), Image.Resampling.BILINEAR)
            return layers.confidence_layer(np.asarray(resized))
        case _:
            raise ValueError(f"no layer {name!r}; there are {', '.join(LAYERS)}")


def frame_view(
    data: ExplorerData, scene: Scene, choice: Choice, shown: Sequence[tuple[str, float]] = ()
) -> Picture:
    """A frame under layers with their opacities in 0..1, the last on top, (H, W, 3) uint8."""
    drawn = ((layer_view(data, scene, choice, name), opacity) for name, opacity in shown)
    frame = data.clip(scene.clip).frame(scene.frame)
    return layers.blend(frame, *((layer, opacity) for layer, opacity in drawn if layer is not None))


def swipe_view(left: Picture, right: Picture, share: float) -> Picture:
    """Two pictures of one size beside each other, parted at this share of the width."""
    parted = round(share * left.shape[1])
    return np.concatenate([left[:, :parted], right[:, parted:]], axis=1)
