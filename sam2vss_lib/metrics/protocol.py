"""The named metric protocol: what each value means, and which definition is the headline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sam2vss_lib.errors import SettingsError

VOID = 255
"""Label of pixels without ground truth, and of pixels a prediction leaves unlabelled."""

MAX_WINDOW_FRAMES = 32_000
"""Longest window: run-lengths are kept as int16."""


@dataclass(frozen=True)
class MetricSettings:
    """What a set of sums was counted with; only sums of equal settings may be merged or compared.

    Attributes:
        num_classes: number of classes C, at most 255 since 255 is void.
        window_lengths: lengths n of the mVC_n windows in frames.
        radii_px: boundary band radii r in pixels (kernel of 2r + 1); the headline uses the first.
        frame_edge_is_boundary: whether a region has a boundary where it touches the frame's edge.
            Off by default: the edge of the picture says nothing about an outline. On reproduces
            code that pads masks with zeros before it erodes them.

    Raises:
        SettingsError: a value is outside its range, or a list is empty or repeats itself.
    """

    num_classes: int
    window_lengths: tuple[int, ...] = (8, 16)
    radii_px: tuple[int, ...] = (2, 5)
    frame_edge_is_boundary: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_range("num_classes", (self.num_classes,), 1, VOID)
        _check_range("window_lengths", self.window_lengths, 1, MAX_WINDOW_FRAMES)
        _check_range("radii_px", self.radii_px, 1, MAX_WINDOW_FRAMES)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The headline metrics in the order in which they are reported."""
        return ("mIoU", "FWIoU", "mBIoU", *(f"mVC{n}" for n in self.window_lengths))


def _check_range(name: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Raise unless `values` is a non-empty tuple of distinct integers in low..high."""
    fits = all(type(value) is int and low <= value <= high for value in values)
    if not values or not fits or len(set(values)) < len(values):
        raise SettingsError(f"{name}: expected distinct integers in {low}..{high}, got {values}")


@dataclass(frozen=True)
class MetricProtocol:
    """A set of definitions under one name, so that two files of results can be compared safely.

    Attributes:
        id: changes whenever a definition or a default does.
        headline: definition behind each headline metric.
        definitions: every definition in one sentence.
    """

    id: str
    headline: dict[str, str]
    definitions: dict[str, str]

    def headline_of(self, settings: MetricSettings) -> dict[str, str]:
        """Definition behind each headline metric by its name under "variants" in the results."""
        names = dict(self.headline)
        consistency = names.pop("mVC")
        names["mBIoU"] += f"_r{settings.radii_px[0]}"
        return names | {f"mVC{n}": consistency for n in settings.window_lengths}

    def describe(self, settings: MetricSettings) -> dict[str, Any]:
        """The protocol with the settings in use, as plain values for `metrics.json`."""
        lists = {
            "window_lengths": list(settings.window_lengths),
            "radii_px": list(settings.radii_px),
        }
        return {
            "id": self.id,
            "headline": self.headline_of(settings),
            "definitions": dict(self.definitions),
            "settings": asdict(settings) | lists,
        }


PROTOCOL = MetricProtocol(
    id="sam2vss-1",
    headline={
        "mIoU": "vspw",
        "FWIoU": "fwiou",
        "mBIoU": "inner_image",
        "mVC": "vc_code",
    },
    definitions={
        "void": "Ground truth 255 never counts, except as a label of its own in vc_code; "
        "prediction 255 is an error of the true class and a false positive of no class.",
        "vspw": "Class IoU over all pixels of the data set, mean over classes with ground truth.",
        "mmseg": "Class IoU over all pixels of the data set, mean over classes with ground truth "
        "or prediction.",
        "fwiou": "Class IoU over all pixels of the data set, weighted by ground-truth pixels.",
        "band": "Pixels of a region within r pixels (square kernel) of another label; void is "
        "another label, and the outside of the frame is one if frame_edge_is_boundary.",
        "inner_image": "IoU of each class inside B, the bands of all ground-truth regions; mean "
        "over the image's classes in B, mean over images with a band.",
        "inner_dataset": "IoU of each class inside B over the data set; mean over classes in B.",
        "inner_pooled": "a / (2 - a) with a the accuracy inside B (Eq. 6 with all classes "
        "pooled); mean over images with a band.",
        "twosided_image": "IoU of each class between its ground-truth mask's dilation and "
        "erosion; mean over the image's classes with a band, mean over images with a band.",
        "cheng_dataset": "IoU of the ground truth's and the prediction's bands of each class over "
        "the data set; mean over classes with a ground-truth band.",
        "agnostic": "IoU of the unions of all bands of ground truth and of prediction, whatever "
        "their class; mean over images where either has one.",
        "vc_code": "Share of the pixels constant in the ground truth over n frames that are also "
        "constant in the prediction; mean over all windows of all clips but each clip's last one.",
        "vc_eq4": "Eq. 4: share of the labelled pixels constant in the ground truth over n frames "
        "that the prediction gives that label in every frame; mean over windows, then over clips.",
    },
)
"""The definitions behind every table of this study; never tuned to published values."""
