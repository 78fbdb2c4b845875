"""The named metric protocol: what each value means, and which definition is the headline."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.metrics.registry import BUILT_IN, METRICS, metric_kinds

VOID = 255
"""Label of pixels without ground truth, and of pixels a prediction leaves unlabelled."""

MAX_WINDOW_FRAMES = 32_000
"""Longest window: run-lengths are kept as int16."""


@dataclass(frozen=True)
class MetricSettings:
    """What a set of sums was counted with; only sums of equal settings may be merged or compared.

    Raises:
        SettingsError: a value is outside its range, or a list is empty or repeats itself.
    """

    num_classes: Annotated[
        int, Field(description="Number of classes C, at most 255 since 255 is void.")
    ]
    window_lengths: Annotated[
        tuple[int, ...],
        Field(
            description="Lengths n of the windows of mVCn in frames.",
            json_schema_extra={"paper": "8 and 16"},
        ),
    ] = (8, 16)
    radii_px: Annotated[
        tuple[int, ...],
        Field(
            description="Radii r of the boundary bands of mBIoU in pixels (kernel of 2r + 1); "
            "the headline uses the first."
        ),
    ] = (2, 5)
    frame_edge_is_boundary: Annotated[
        bool,
        Field(
            description="Whether a region has a boundary where it touches the frame's edge, which "
            "says nothing about an outline; on reproduces code that pads masks with zeros."
        ),
    ] = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_range("num_classes", (self.num_classes,), 1, VOID)
        _check_range("window_lengths", self.window_lengths, 1, MAX_WINDOW_FRAMES)
        _check_range("radii_px", self.radii_px, 1, MAX_WINDOW_FRAMES)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The headline metrics in the order in which they are reported."""
        return tuple(PROTOCOL.headline_of(self))


def _check_range(name: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Raise unless `values` is a non-empty tuple of distinct integers in low..high."""
    fits = all(type(value) is int and low <= value <= high for value in values)
    if not values or not fits or len(set(values)) < len(values):
        raise SettingsError(f"{name}: expected distinct integers in {low}..{high}, got {values}")


class MetricProtocol:
    """A set of definitions under one name, so that two files of results can be compared safely.

    It is never tuned to published values.
    """

    @property
    def id(self) -> str:
        """Changes whenever a definition or a default does, and names metrics that were added."""
        return "+".join(("sam2vss-1", *(name for name in METRICS if name not in BUILT_IN)))

    @property
    def headline(self) -> dict[str, str]:
        """Definition behind each headline metric."""
        return {k: v for kind in metric_kinds() for k, v in kind.headline.items()}

    @property
    def definitions(self) -> dict[str, str]:
        """Every definition in one sentence."""
        return _VOID | {k: v for kind in metric_kinds() for k, v in kind.definitions.items()}

    def headline_of(self, settings: MetricSettings) -> dict[str, str]:
        """Definition behind each headline metric by its name under "variants" in the results."""
        return {k: v for kind in metric_kinds() for k, v in kind.headline_of(settings).items()}

    def describe(self, settings: MetricSettings) -> dict[str, Any]:
        """The protocol with the settings in use, as plain values for `metrics.json`."""
        plain = {k: [*v] if isinstance(v, tuple) else v for k, v in asdict(settings).items()}
        return {
            "id": self.id,
            "headline": self.headline_of(settings),
            "definitions": self.definitions,
            "settings": plain,
        }


_VOID = {
    "void": "Ground truth 255 never counts, except as a label of its own in vc_code; prediction "
    "255 is an error of the true class and a false positive of no class.",
}
PROTOCOL = MetricProtocol()
"""The definitions behind every table of this study."""
