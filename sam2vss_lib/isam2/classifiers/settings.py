"""The settings of the classifier; the paper names neither layers nor training."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class ClassifierSettings(BaseModel):
    """Network, training, and which masklets to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    hidden: int = Field(default=512, ge=1, description="Width of the hidden layers, in units.")
    layers: int = Field(
        default=1, ge=0, le=8, description="Number of hidden layers; 0 is a linear probe."
    )
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of units dropped after every hidden layer."
    )
    standardise: bool = Field(
        default=True,
        description="Whether features are brought to mean 0, deviation 1 over the training rows.",
    )
    lr: float = Field(
        default=1e-3, gt=0, description="Learning rate of AdamW, which falls to 0 as a cosine."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    epochs: int = Field(default=50, ge=1, description="Passes over the training rows, at most.")
    batch_size: int = Field(default=256, ge=1, description="Masklets in a step of the training.")
    class_weighting: Literal["none", "inverse_sqrt"] = Field(
        default="none",
        description="Weights of the classes in the loss: equal, or 1 / sqrt of their rows.",
    )
    monitor: Literal["macro_accuracy", "loss"] = Field(
        default="macro_accuracy",
        description="What picks the best epoch, measured on the validation clips.",
    )
    patience: int = Field(
        default=10, ge=1, description="Epochs without a new best after which training stops."
    )
    validation_fraction: float = Field(
        default=0.15,
        ge=0,
        lt=1,
        description="Share of the clips set apart for validation, at least one; 0 sets none apart.",
    )
    min_purity: Share = Field(
        default=0.5,
        description="Share of a masklet's labelled pixels that its class must have to train on it.",
    )
    max_void_share: Share = Field(
        default=0.5,
        description="Share of a masklet's pixels that may be void for it to be trained on.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="Seed of the split of the clips, initial weights, order and dropout.",
    )
