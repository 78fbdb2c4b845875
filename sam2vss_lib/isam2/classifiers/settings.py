"""The settings of the classifier; the paper names neither layers nor training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ClassifierSettings(BaseModel):
    """Network, training, and which masklets to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    hidden: int = Field(default=512, ge=1, description="width of hidden layers")
    layers: int = Field(default=1, ge=0, le=8, description="hidden layers; 0 is a linear probe")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="after every hidden layer")
    standardise: bool = Field(
        default=True, description="bring features to mean 0, deviation 1 over the training rows"
    )
    lr: float = Field(default=1e-3, gt=0, description="of AdamW, falling to 0 as a cosine")
    weight_decay: float = Field(default=0.01, ge=0)
    epochs: int = Field(default=50, ge=1, description="at most")
    batch_size: int = Field(default=256, ge=1, description="masklets a step")
    class_weighting: Literal["none", "inverse_sqrt"] = Field(
        default="none", description="of the loss, by 1 / sqrt of a class's training rows"
    )
    monitor: Literal["macro_accuracy", "loss"] = Field(
        default="macro_accuracy", description="what decides on validation clips"
    )
    patience: int = Field(default=10, ge=1, description="epochs without a new best, then stop")
    validation_fraction: float = Field(
        default=0.15, ge=0, lt=1, description="of the clips, at least one; 0 trains on all clips"
    )
    min_purity: float = Field(
        default=0.5, ge=0, le=1, description="mixed masklets below it are not trained on"
    )
    max_void_share: float = Field(
        default=0.5, ge=0, le=1, description="masklets with more void are not trained on"
    )
    seed: int = Field(default=0, ge=0, description="of split, initial weights, order and dropout")
