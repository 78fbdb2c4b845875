"""The gate: whether the masklets of a clip deserve trust, by what is known without ground truth."""

from dataclasses import dataclass
from typing import Any

_MOST_DOUBT = 1.1  # firm changes per expected error
_MOST_CHANGES = 0.22  # share of covered pixels; where a base model gave no probabilities


@dataclass
class Trust:
    """What a rule that weighs evidence counts over a clip, frame by frame, in pixels.

    A base model that is wrong as often as it says expects a number of errors under the masklets. A
    vote may change about as many pixels; if pixels that the base model is sure of are a good part
    of what changes, and outnumber all errors that it expects, then the masklets are wrong.
    """

    changed_px: int = 0  # pixels that the window vote would change
    firm_px: int = 0  # those of them on which the base model is sure of its own class
    covered_px: int = 0  # pixels under masklets that vote
    expected_px: float = 0.0  # errors that the base model expects under masklets
    has_probabilities: bool = True
    margin: float | None = None  # of the rule, in nats

    @property
    def change_ratio(self) -> float:
        """Changed pixels per expected error."""
        return self.changed_px / max(self.expected_px, 1)

    @property
    def firm_share(self) -> float:
        """Share of the changed pixels that the base model is sure of."""
        return self.firm_px / max(self.changed_px, 1)

    @property
    def changed_share(self) -> float:
        """Share of the covered pixels that would be changed."""
        return self.changed_px / max(self.covered_px, 1)

    @property
    def trusted(self) -> bool:
        """Whether the masklets may change labels."""
        if not self.has_probabilities:
            return self.changed_share <= _MOST_CHANGES
        return self.change_ratio * self.firm_share <= _MOST_DOUBT

    def facts(self, *, gated: bool) -> dict[str, Any]:
        """The gate's numbers and its decision, and the rule's margin, JSON-able."""
        numbers = (
            {"change_ratio": self.change_ratio, "firm_share": self.firm_share}
            if self.has_probabilities
            else {"changed_share": self.changed_share}
        )
        rounded = {name: round(value, 4) for name, value in numbers.items()}
        found = {"trusted": self.trusted or not gated, "gate": gated, **rounded}
        return found if self.margin is None else found | {"margin": self.margin}


def reason(facts: dict[str, Any]) -> str:
    """Why masklets were not trusted, in words."""
    if "change_ratio" in facts:
        return (
            f"they would change {facts['change_ratio']:.1f} pixels per error that the base model "
            f"expects, {facts['firm_share']:.0%} of them against its firm opinion"
        )
    return f"they would change {facts['changed_share']:.0%} of what they cover"
