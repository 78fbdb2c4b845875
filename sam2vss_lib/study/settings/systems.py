"""The systems that tables compare: base systems of Tables 1 and 2, encoders of Table 3."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from sam2vss_lib.predictions.importers.formats import FORMATS
from sam2vss_lib.study.settings.paths import missing_weights


class BaseSystem(BaseModel, frozen=True, extra="forbid", strict=True):
    """One base system of Table 1 or 2, and where its predictions come from."""

    method: str = Field(description="Name of the row as the paper prints it, such as CFFM.")
    backbone: str = Field(description="Backbone as the paper prints it, such as MiT-B1.")
    segmentor: str | None = Field(
        default=None,
        description="Base model that predicts, NAME[:CHECKPOINT] as of `sam2vss segment`, "
        "where there are no `predictions`.",
    )
    classes: str | None = Field(
        default=None,
        description="Class map of an hf: model: a JSON file from its labels to the data set's "
        "classes, or the name of one in data_manifests, such as ade20k_to_vspw; by default labels "
        "are mapped by equal names.",
    )
    predictions: Annotated[str, AfterValidator(os.path.expanduser)] | None = Field(
        default=None, description="Folder or file of predictions made elsewhere."
    )
    label_offset: Literal[0, 1] = Field(
        default=0,
        description="Number of the first class in prediction files, which use 0..C-1 or 1..C.",
    )
    format: str = Field(
        default="index",
        description=f"Format of the predictions ({', '.join(FORMATS)}), "
        "as `sam2vss predictions formats` describes them.",
    )

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.segmentor is None and self.predictions is None:
            raise ValueError(f"{self.label}: give segmentor, predictions or both")
        if self.format not in FORMATS:
            raise ValueError(
                f"{self.label}: format {self.format!r}; known are {', '.join(FORMATS)}"
            )
        return self

    def predicts_here(self, project: Path) -> bool:
        """Whether the model is to be run, as there are no predictions of it, from `project`."""
        return self.predictions is None or (
            self.segmentor is not None and not (project / self.predictions).exists()
        )

    def lacks(self, project: Path) -> str | None:
        """What is not there of both sources, in words; None where one is."""
        if self.predicts_here(project):
            weights = missing_weights(str(self.segmentor), project)
            there = f"no predictions at {self.predictions} and " if self.predictions else ""
            return f"{there}no weights at {weights}" if weights else None
        there = (project / str(self.predictions)).exists()
        return None if there else f"no predictions at {self.predictions}"

    @property
    def label(self) -> str:
        """Method and backbone, as in tables."""
        return f"{self.method} {self.backbone}".strip()


class EncoderSystem(BaseModel, frozen=True, extra="forbid", strict=True):
    """One encoder of Table 3, I-X, and the base system X beside it."""

    method: str = Field(description="Name of the row as the paper prints it, such as I-CFFM.")
    backbone: str = Field(description="Backbone as the paper prints it; empty for I-SAM2.")
    encoder: str | None = Field(
        description="Network and, after @, the level of its features, such as sam2:demo or "
        "MODEL:WEIGHTS@fuse; none where there is none here, so that the row says so."
    )
    base: str = Field(
        description="Method and backbone of the base system X that I-X is compared with and that "
        "fills I-X_base."
    )

    @property
    def label(self) -> str:
        """Method and backbone, as in tables."""
        return f"{self.method} {self.backbone}".strip()

    @property
    def filled_method(self) -> str:
        """Row name of I-X_base."""
        return f"{self.method}_base"

    @property
    def filled_label(self) -> str:
        """Method and backbone of I-X_base."""
        return f"{self.filled_method} {self.backbone}".strip()


class OtherData(BaseModel, frozen=True, extra="forbid", strict=True):
    """Labelled data that rules are tried on beside the study's own."""

    label: str = Field(description="Name of the data in tables.")
    dataset: str = Field(description="Root of the data set, or demo-b.")
    split: str = Field(default="val", description="Name of the list of clips.")
    predictions: str | None = Field(
        default=None,
        description="Folder of predictions with probabilities; by default those of the study's "
        "first base system.",
    )
    masklets: str | None = Field(
        default=None, description="Masklet store; by default the study's own SAM2 makes masklets."
    )
