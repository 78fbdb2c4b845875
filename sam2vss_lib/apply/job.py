"""What `sam2vss apply` is asked to do, and where it keeps what it makes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import StrayLabels, check_num_classes
from sam2vss_lib.datasets.layout import is_plain_name
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.validation import resolve_device


@dataclass(frozen=True)
class Job:
    """Source, base predictions, settings of all stages, and the folder of everything made.

    What is not said here is as in the options of the single stages.
    """

    source: str  # a video, a folder of frames, or a data set root
    out: Path
    checkpoint: str
    masklets: MaskletSettings
    refinement: RefineSettings
    predictions: Path | None = None  # <clip>/<frame>.png, or <frame>.png of a single clip
    model: str | None = None  # where there are no predictions
    classes: str | None = None  # class map of the model
    label_offset: int = 0
    split: str = "val"
    max_clips: int | None = None
    max_frames: int | None = None  # of a video or a folder of frames
    num_classes: int | None = None
    mask_offset: int | None = None
    stray_labels: StrayLabels = "error"
    device: str = "auto"
    config: str | None = None
    max_objects_per_batch: int | None = None
    fps: float | None = None  # of the films; by default the video's

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            SettingsError: there are no base predictions, or two kinds, or a value cannot be used.
            DataError: there is no folder of the base predictions.
        """
        if (self.predictions is None) == (self.model is None):
            raise SettingsError("give --predictions or --model: one of the two is refined")
        if self.model is not None and self.label_offset:
            raise SettingsError("--label-offset: is for --predictions; models number from 0")
        if self.model is None and self.classes is not None:
            raise SettingsError("--classes: is for --model")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise SettingsError(f"--fps is {self.fps}; it must be above 0 and at most 1000")
        if not is_plain_name(self.split):
            raise SettingsError(f"--split is {self.split!r}; it must be a plain name, such as val")
        if self.num_classes is not None:
            check_num_classes(self.num_classes)
        if VOTES[self.refinement.vote].needs_others:
            rule = f"--vote {self.refinement.vote}"
            raise SettingsError(f"{rule}: asks several base models; run it by sam2vss refine")
        self.refinement.arbiter_path()
        if self.predictions is not None and not self.predictions.is_dir():
            hint = "give --predictions a folder of label PNGs"
            raise FileFault(self.predictions, "no such folder", hint)

    @cached_property
    def processor(self) -> str:
        """`device`, with `auto` resolved."""
        return resolve_device(self.device)

    @property
    def data(self) -> Path:
        """Data set root that a video or a folder of frames becomes."""
        return self.out / "data"

    @property
    def base(self) -> Path:
        """Base predictions, where they are made here or flat."""
        return self.out / "base"

    @property
    def store(self) -> Path:
        """Masklets."""
        return self.out / "masklets"

    @property
    def refined(self) -> Path:
        """Refined predictions."""
        return self.out / "refined"

    @property
    def named(self) -> Path:
        """Refined predictions of a folder of frames once more, named as its images."""
        return self.out / "refined_as_named"

    @property
    def films(self) -> Path:
        """Films, pictures and counts, a folder for each clip."""
        return self.out / "films"

    def metrics(self, of: str) -> Path:
        """Metrics of the "base" or "refined" predictions."""
        return self.out / "metrics" / f"{of}.json"
