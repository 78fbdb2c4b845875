"""The masklet engines. Another one is a module in `engines`, or anywhere, and a line in `ENGINES`.

The code of an engine is a class as `MaskletEngine` describes it, and it says what loads its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from sam2vss_lib.registry import Entry, Registry

if TYPE_CHECKING:
    from sam2vss_lib.datasets import Clip
    from sam2vss_lib.masklets.settings import MaskletSettings
    from sam2vss_lib.masklets.work import Work
    from sam2vss_lib.masklets.writer import ClipWriter


class MaskletModel(Protocol):
    """What is recorded of a model that masklets are made with."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of its weights."""
        ...

    @property
    def config_sha256(self) -> str:
        """Hash of what else it is built by."""
        ...

    @property
    def made_with(self) -> Mapping[str, str]:
        """What else its masklets follow from, such as the version of a package."""
        ...


class MaskletEngine(Protocol):
    """Makes the masklets of clips, for one or more settings in one pass over the frames."""

    def __init__(
        self, model: Any, settings: MaskletSettings, max_objects_per_batch: int | None
    ) -> None:
        """Prepare what is the same for all clips.

        The model is as the engine's entry loads it. All settings that this engine is for have the
        precision and the approximations of these. `max_objects_per_batch` objects are propagated
        together, which bounds memory (see `suitable_size` of the batched engine); None finds a
        number.
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
    #: where the function is that loads its models, which takes a checkpoint, and by name a device
    #: and a configuration
    loader: str = "sam2vss_lib.masklets.sam2:load_sam2"

    def load_model(self, checkpoint: str, *, device: str, config: str | None = None) -> Any:
        """The `MaskletModel` of a checkpoint, as the engine takes it.

        Raises:
            DataError, SettingsError: as of `load_sam2`.
        """
        load = replace(self, code=self.loader).load()
        return load(checkpoint, device=device, config=config)


def _of_transformers(model: str, words: str) -> EngineEntry:
    """An engine around a class of `transformers`, whose function is named as it is."""
    return EngineEntry(
        "sam2vss_lib.masklets.engines.prompted:PromptedEngine",
        words,
        loader=f"sam2vss_lib.masklets.hugging_face.video_model:load_{model}",
    )


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
        "transformers:Sam2VideoModel": _of_transformers("sam2_video", "SAM2 in transformers"),
        "transformers:EdgeTamVideoModel": _of_transformers("edgetam_video", "EdgeTAM"),
        "transformers:Sam3TrackerVideoModel": _of_transformers(
            "sam3_tracker_video", "SAM 3's tracker"
        ),
    },
)
