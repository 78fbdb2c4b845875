"""The settings of a study notebook: validated from its parameters cell, frozen afterwards."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.feature_settings import FrameStride, Pool
from sam2vss_lib.masklets.approximations import PRESETS
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import OnTop, RefineSettings, Vote
from sam2vss_lib.study.settings.profiles import known_profiles
from sam2vss_lib.study.settings.systems import BaseSystem, EncoderSystem, OtherData
from sam2vss_lib.validation import resolve_device, validated

Swept = Literal["window", "points_per_side", "pred_iou_thresh", "stability_score_thresh"]

#: settings that earlier results were made without -> what they are when off
_LATER = {
    "mask_offset": None,
    "compile_step": False,
    "attention_backend": None,
    "channels_last": False,
}


class NotebookSettings(BaseModel, frozen=True, extra="forbid", strict=True):
    """What every notebook has; enough for one that uses no data set."""

    profile: str = Field(
        description="Profile whose parameters are laid over the notebook's own "
        f"({known_profiles()}); it names the folder of the results."
    )
    out_dir: str = Field(description="Folder of this notebook's results.")

    def identity(self) -> dict[str, Any]:
        """JSON-able settings without the places where results are kept.

        Settings that came later are left out where they are off, so that hashes are those from
        before them.
        """
        places = {"out_dir", "stages_dir"} & type(self).model_fields.keys()
        dumped = self.model_dump(mode="json", exclude=places)
        return {k: v for k, v in dumped.items() if k not in _LATER or v != _LATER[k]}


class StudySettings(NotebookSettings, MaskletSettings, frozen=True):
    """Everything a notebook depends on; the fields are the names its parameters may have."""

    dataset: str = Field(
        description="Root of the data set in VSPW or VIPSeg layout, or demo or demo-b (generated).",
        json_schema_extra={"paper": "VSPW; in Table 2 VIPSeg"},
    )
    split: str = Field(
        "val", description="Name of the list of clips that is measured on, such as val."
    )
    stray_labels: Literal["error", "void"] = Field(
        "error",
        description="What a mask value counts as that is neither class nor void: error or void.",
    )
    mask_offset: int | None = Field(
        None,
        ge=0,
        le=1,
        description="Number of the first class in masks: 0 where 0 is a class and 255 void, 1 "
        "where 0 is void; if not given, that of the class list, else 1.",
    )
    max_clips: int | None = Field(
        None,
        ge=1,
        description="Only so many clips are used, the first of the split; all if not given.",
    )
    base_systems: tuple[BaseSystem, ...] = Field(
        (), strict=False, description="Base systems to refine or to compare with, one row each."
    )
    checkpoint: str = Field(
        "demo",
        description="SAM2 model: demo, the name of an official checkpoint such as "
        "sam2.1_hiera_large, the path of a file, or a model of transformers: FOLDER or hf:NAME.",
        json_schema_extra={"paper": "left open"},
    )
    preset: Literal["exact", "fast"] = Field(
        "exact",
        description="Approximations of the engine that are on, none (exact) or several (fast); "
        "each can be changed by its own setting.",
    )
    votes: tuple[Vote, ...] = Field(
        ("frame",),
        strict=False,
        min_length=1,
        description=f"How masklets vote, one row each ({VOTES.in_words()}).",
        json_schema_extra={"paper": "left open"},
    )
    overlap: OnTop = "area"
    sweep: Swept | None = Field(
        None, description="Setting that an ablation varies (Tables 4 to 7), all others fixed."
    )
    sweep_values: tuple[int | float, ...] = Field(
        (), strict=False, description="Values that the setting named by `sweep` takes in turn."
    )
    benchmarks: str = Field(
        "", description="File written by `python -m benchmarks --out`; empty for none."
    )
    device: str = Field(
        "auto", description="Where models run: auto (a GPU if there is one), cpu, cuda or cuda:N."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap over clips.")
    bootstrap_samples: int = Field(
        default=2000, ge=1, description="Resamples of the clips that intervals are made from."
    )
    stages_dir: str = Field(description="Folder of computations shared between notebooks.")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A preset's approximations, unless they are given themselves."""
        name = values.get("preset", "exact")
        return {**PRESETS[name].in_use(), **values} if name in PRESETS else values

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        labels = [system.label for system in self.base_systems]
        values = [str(value) for value in self.sweep_values]
        for noun, names in (
            ("base_systems", labels),
            ("votes", [*self.votes]),
            ("sweep_values", values),
        ):
            if repeated := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{noun}: {min(repeated)} is given twice")
        for vote in self.votes:
            if vote == "learned" or VOTES[vote].needs_others:
                raise ValueError(f"votes: {vote} needs more than one base model's predictions")
        if (self.sweep is None) != (not self.sweep_values):
            raise ValueError("give both sweep and sweep_values, or neither")
        self.masklet_sweep()  # every value must be a possible one
        return self

    @property
    def masklets(self) -> MaskletSettings:
        """The part that masklets depend on."""
        return MaskletSettings.model_validate(
            {name: getattr(self, name) for name in MaskletSettings.model_fields}
        )

    def masklet_sweep(self) -> dict[int | float, MaskletSettings]:
        """Settings of the masklets for every value of the sweep; empty without one."""
        own, name = self.masklets.model_dump(), str(self.sweep)
        return {v: MaskletSettings.model_validate(own | {name: v}) for v in self.sweep_values}

    def refinement(self, vote: Vote) -> RefineSettings:
        """The part that refinement depends on, for one of the votes."""
        return RefineSettings(vote=vote, overlap=self.overlap)

    @property
    def torch_device(self) -> str:
        """`device`, with `auto` resolved to a GPU when there is one."""
        return resolve_device(self.device)


class IndependentSettings(StudySettings, frozen=True):
    """What Table 3 depends on besides: encoders, the classifiers' training, and their seeds."""

    encoders: tuple[EncoderSystem, ...] = Field(
        strict=False,
        min_length=1,
        description="Encoders of the rows I-X, whose features the masklets are classified by.",
    )
    train_split: str = Field(
        "train", description="Name of the list of clips that the classifiers are trained on."
    )
    train_clips: int | None = Field(
        None,
        ge=2,
        description="Only so many clips are trained on, the first ones; all if not given.",
    )
    train_frame_step: int = Field(
        15, ge=1, description="Every n-th frame of a clip is trained on, n in frames."
    )
    train_points_per_side: int = Field(
        16, ge=1, le=256, description="Points along each side of the grid on training frames."
    )
    feature_pool: Pool = "masklet"
    feature_frame_stride: FrameStride = 1
    classifier: ClassifierSettings = Field(
        ClassifierSettings(), strict=False, description="Network and training of the classifiers."
    )
    classifier_seeds: tuple[int, ...] = Field(
        (0, 1, 2),
        strict=False,
        min_length=3,
        description="Seeds of the classifiers, each of which is trained once with every one.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        labels = [encoder.label for encoder in self.encoders]
        for noun, names in (("encoders", labels), ("classifier_seeds", [*self.classifier_seeds])):
            if len({*names}) < len(names):
                raise ValueError(f"{noun}: one is given twice")
        known = [system.label for system in self.base_systems]
        for encoder in self.encoders:
            if encoder.base not in known:
                raise ValueError(
                    f"encoders: {encoder.label}: no base system {encoder.base!r}; "
                    f"base_systems are: {', '.join(known)}"
                )
        if "seed" in self.classifier.model_fields_set or min(self.classifier_seeds) < 0:
            raise ValueError("classifier: its seeds are classifier_seeds, from 0")
        if self.train_split == self.split:
            raise ValueError(f"train_split: {self.split} is the split that is measured on")
        if self.feature_pool == "frame" and self.feature_frame_stride != 1:
            raise ValueError("feature_frame_stride: must be 1 where feature_pool is frame")
        return self

    @property
    def training_masklets(self) -> MaskletSettings:
        """Of the training frames, which are far apart: nothing is propagated."""
        changes = {"window": 1, "points_per_side": self.train_points_per_side}
        return MaskletSettings.model_validate({**self.masklets.model_dump(), **changes})


class BeyondSettings(StudySettings, frozen=True):
    """What the rules beyond the paper depend on besides."""

    fit_split: str = Field(
        description="Name of the list of clips that arbiters are fitted on: not those measured on, "
        "nor those that base models were trained on."
    )
    other_data: tuple[OtherData, ...] = Field(
        (), strict=False, description="Labelled data that the rules are tried on too."
    )

    @model_validator(mode="after")
    def _held_out(self) -> Self:
        if self.fit_split == self.split:
            raise ValueError(f"fit_split: {self.split} is the split that is measured on")
        return self


def make_settings(parameters: dict[str, Any]) -> StudySettings:
    """Validate the parameters of a notebook about a data set.

    One with `encoders` is Table 3's, one with `fit_split` goes beyond the paper.

    Raises:
        SettingsError: an unknown name, a wrong type or a value out of range; one line.
    """
    marks = {"encoders": IndependentSettings, "fit_split": BeyondSettings}
    kind = next((k for mark, k in marks.items() if mark in parameters), StudySettings)
    return validated(kind, parameters, "parameter")
