"""How masklets vote, how their overlaps are resolved, and when the base model is believed."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.refinement.registry import VOTES

_DEMO_ARBITER = "demo"
Vote = Annotated[str, AfterValidator(VOTES.checked)]
Overlap = Literal["area", "predicted_iou", "stability", "logit"]
OnTop = Annotated[
    Overlap,
    Field(
        description="Which masklet is on top: the smallest (area), or that with the most.",
        json_schema_extra={"paper": "left open"},
    ),
]


class FusionSettings(BaseModel):
    """What the rules that weigh evidence depend on; the others do not read it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    margin: float | None = Field(
        default=None,
        description="Evidence from which on a base model keeps its label, in nats; if not given, "
        "the rule's own.",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="What log-probabilities are divided by: above 1 for a base model that is too "
        "sure. `sam2vss fusion fit` measures it on labels; 1 is not calibrated.",
    )
    gate: bool = Field(
        default=True,
        description="Whether a clip's predictions are kept as they are where its masklets deserve "
        "no trust.",
    )
    arbiter: str | None = Field(
        default=None,
        description="File of `sam2vss fusion fit`, for the vote `learned`; demo is the embedded "
        "one, fitted on generated clips: for those alone, it knows nothing of real video.",
    )

    def arbiter_path(self) -> Path | None:
        """The file of the arbiter, if there is to be one.

        Raises:
            DataError: it is not there.
        """
        return None if self.arbiter is None else arbiter_path(self.arbiter)

    @property
    def has_demo_arbiter(self) -> bool:
        """Whether it is the embedded one."""
        return self.arbiter == _DEMO_ARBITER


def arbiter_path(name: str) -> Path:
    """The file of an arbiter, `demo` being the embedded one.

    Raises:
        DataError: it is not there.
    """
    embedded = Path(__file__).parents[1] / "fusion" / "demo" / "arbiter.safetensors"
    path = embedded if name == _DEMO_ARBITER else Path(name)
    if not path.is_file():
        raise FileFault(path, "no such arbiter", "make it by sam2vss fusion fit")
    return path


class RefineSettings(FusionSettings):
    """What refined labels depend on beside predictions and masklets.

    A pixel under several masklets takes its class from the smallest of them (`area`), from that of
    the highest proposal score (`predicted_iou`, `stability`), or from that with the largest `logit`
    at the pixel. Masklets without any vote take no part, except under `logit`, where the store
    knows the winner only: its pixels keep the prediction. On a window's first frame the logits of
    all prompts are about equal, and `logit` then prefers the higher predicted IoU.
    """

    vote: Vote = Field(
        default="frame",
        description=f"How masklets vote ({VOTES.in_words()}).",
        json_schema_extra={"paper": "left open"},
    )
    overlap: OnTop = "area"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.vote == "learned") != (self.arbiter is not None):
            raise ValueError("vote learned goes with an arbiter, the file of sam2vss fusion fit")
        return self

    def identity(self) -> dict[str, Any]:
        """JSON-able settings; without those of evidence where the rule weighs none.

        An arbiter is told by the hash of its file, which is for the caller to add.
        """
        unread = set[str]() if VOTES[self.vote].weighs else {*FusionSettings.model_fields}
        return self.model_dump(mode="json", exclude=unread | {"arbiter"})
