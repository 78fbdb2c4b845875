"""The masklet engines. Another one is a module in `engines`, or anywhere, and a line in `ENGINES`.

The code of an engine is a class as `MaskletEngine` describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sam2vss_lib.registry import Entry, Registry

if TYPE_CHECKING:
    from sam2vss_lib.datasets import Clip
    from sam2vss_lib.masklets.sam2 import Sam2Model
    from sam2vss_lib.masklets.settings import MaskletSettings
    from sam2vss_lib.masklets.work import Work
    from sam2vss_lib.masklets.writer import ClipWriter


class MaskletEngine(Protocol):
    """Makes the masklets of clips, for one or more settings in one pass over the frames."""

    def __init__(
        self, model: Sam2Model, settings: MaskletSettings, max_objects_per_batch: int | None
    ) -> None:
        """Prepare what is the same for all clips.

        All settings that this engine is for have the precision and the approximations of these.
        `max_objects_per_batch` objects are propagated together, which bounds memory (see
        `suitable_size` of the batched engine); None finds a number.
        """
        ...

    def write_clip(self, clip: Clip, writers: Mapping[MaskletSettings, ClipWriter]) -> Work:
        """Compute a clip's masklets for every setting and hand their rows to its writer.

        There is exactly one where the engine does not share passes.

        Raises:
            DataError: a frame cannot be read or has another size.
        """
        ...


@dataclass(frozen=True)
class EngineEntry(Entry):
    """A masklet engine."""

    shares_passes: bool = False  # whether one pass over the frames serves several settings
    approximates: bool = False  # whether it knows the settings of `Approximations`


ENGINES = Registry(
    "engine",
    {
        "batched": EngineEntry(
            "sam2vss_lib.masklets.engines.batched.clip:BatchedEngine",
            "all objects of a window at once, around the unchanged sam2 modules",
            shares_passes=True,
            approximates=True,
        ),
        "stock": EngineEntry(
            "sam2vss_lib.masklets.engines.stock.clip:StockEngine",
            "stock sam2 calls, an object at a time; the oracle of the others",
        ),
    },
)
