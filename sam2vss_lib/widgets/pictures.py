"""Every view as a picture: arrays for a frame with its layers, which need no browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from sam2vss_lib.datasets.labels import VOID, Labels
from sam2vss_lib.refinement.painting import painters
from sam2vss_lib.views import layers
from sam2vss_lib.views.layers import Picture
from sam2vss_lib.views.palette import label_colours
from sam2vss_lib.widgets.data import ExplorerData, Scene, Shown
from sam2vss_lib.widgets.stores import Choice

#: layers by name and title, from below; the frame itself lies under all of them
LAYERS: Mapping[str, str] = {
    "truth": "Ground truth",
    "base": "Base prediction",
    "refined": "Refined",
    "confidence": "Low confidence",
    "masklets": "Masklets",
    "decided": "Who decided",
    "evidence": "Evidence of adaptive",
    "changes": "Changed pixels",
    "boundary": "Boundary band",
}
BAND_RADIUS_PX = 2  # as the headline of mBIoU has it


def label_map(data: ExplorerData, scene: Scene, shown: Shown, name: str) -> Labels | None:
    """The labels that a layer shows as they are, (H, W) uint8; None for other layers."""
    match name:
        case "truth":
            return data.truth(scene)
        case "base":
            return data.labels(scene)
        case "refined":
            return data.labels(scene, shown)
        case _:
            return None


def layer_view(data: ExplorerData, scene: Scene, shown: Shown, name: str) -> Picture | None:
    """One of `LAYERS`, (H, W, 3) or with opacity (H, W, 4) uint8; None where there is none."""
    match name:
        case "truth" | "base" | "refined":
            labels = label_map(data, scene, shown, name)
            return None if labels is None else layers.colour_labels(labels, data.num_classes)
        case "masklets":
            if not isinstance(shown, Choice):
                return None
            return layers.masklet_layer(data.top(scene, shown))
        case "decided":
            if not isinstance(shown, Choice):
                return None
            refined = data.refined(scene, shown)
            if refined.part is None:
                return None
            top = painters(refined.part, shown.overlap, refined.classes)
            voted = np.where(top < 0, VOID, refined.classes[top]).astype(np.uint8)
            return layers.decision_layer(data.labels(scene), voted, refined.labels)
        case "evidence":
            found = data.evidence(scene, shown) if isinstance(shown, Choice) else None
            if found is None:
                return None
            places, excess = found.frame.places, found.score - found.margin
            return layers.evidence_layer(data.clip(scene.clip).size, places, excess)
        case "changes":
            before, after = data.labels(scene), data.labels(scene, shown)
            return layers.change_layer(before, after, data.truth(scene))
        case "boundary":
            return layers.boundary_layer(data.labels(scene, shown), BAND_RADIUS_PX)
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
    data: ExplorerData, scene: Scene, shown: Shown, visible: Sequence[tuple[str, float]] = ()
) -> Picture:
    """A frame under layers with their opacities in 0..1, the last on top, (H, W, 3) uint8."""
    drawn = ((layer_view(data, scene, shown, name), opacity) for name, opacity in visible)
    frame = data.clip(scene.clip).frame(scene.frame)
    return layers.blend(frame, *((layer, opacity) for layer, opacity in drawn if layer is not None))


def clip_view(
    data: ExplorerData, scene: Scene, shown: Shown, visible: Sequence[tuple[str, float]] = ()
) -> Iterator[Picture]:
    """`frame_view` of every frame of the scene's clip, for a film."""
    for frame in range(data.clip(scene.clip).num_frames):
        yield frame_view(data, scene.at(frame), shown, visible)


def swipe_view(left: Picture, right: Picture, share: float) -> Picture:
    """Two pictures of one size beside each other, parted at this share of the width."""
    parted = round(share * left.shape[1])
    return np.concatenate([left[:, :parted], right[:, parted:]], axis=1)


def encoded_frame(frame: Picture) -> bytes:
    """A frame as a browser takes it."""
    stream = BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def encoded_layer(data: ExplorerData, scene: Scene, shown: Shown, name: str) -> bytes | None:
    """A layer of `layer_view` as a PNG; labels go with a palette, which is ten times as fast."""
    labels = label_map(data, scene, shown, name)
    if labels is not None:
        image = Image.fromarray(labels)
        image.putpalette(label_colours(data.num_classes).tobytes())
    else:
        layer = layer_view(data, scene, shown, name)
        if layer is None:
            return None
        image = Image.fromarray(layer)
    stream = BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
