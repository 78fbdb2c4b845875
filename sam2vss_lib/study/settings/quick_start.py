"""The settings of the quick start: somebody's own frames, and what is to be done with them."""

from pydantic import Field

from sam2vss_lib.study.settings.study_settings import NotebookSettings


class QuickStartSettings(NotebookSettings, frozen=True):
    """What notebook 00 depends on."""

    source: str = Field(
        "demo",
        description="A video, a folder of frames, the root of a data set, or demo (generated).",
    )
    predictions: str = Field(
        "",
        description="Folder with the labels <clip>/<frame>.png of a base model; empty to run "
        "`model` here.",
    )
    num_classes: int | None = Field(
        None,
        ge=1,
        le=254,
        description="Number of classes of the predictions, where the source has no class list.",
    )
    model: str = Field(
        "segformer-mini",
        description="Base model that predicts, NAME[:CHECKPOINT] as of `sam2vss segment`.",
    )
    checkpoint: str = Field(
        "demo",
        description="SAM2 model: demo, the name of an official checkpoint such as "
        "sam2.1_hiera_large, or the path of a file.",
    )
    clip: str | None = Field(
        None, description="Clip of a data set that is refined; its first if not given."
    )
    max_frames: int | None = Field(
        None, ge=1, description="Only so many frames are used, the first ones; all if not given."
    )
    height_px: int | None = Field(
        None,
        ge=16,
        description="Height that frames of a video or folder are resized to, in pixels.",
    )
    stages_dir: str = Field(description="Folder of computations, where a second run finds them.")
