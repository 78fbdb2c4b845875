"""The vote rules. Another one is a module in `votes`, or anywhere, and a line in `VOTES`.

A rule is a function from a `Window` to the refined labels, (H, W) uint8, of each of its frames.
"""

from dataclasses import dataclass
from typing import Literal

from sam2vss_lib.registry import Entry, Registry


@dataclass(frozen=True)
class VoteRule(Entry):
    """A vote rule."""

    title: str  # as prose and legends name it
    suffix: str  # what tables add to a system's name
    by_frame: bool = False  # whether a frame's labels follow from that frame alone
    weighs: bool = False  # whether it weighs evidence, so that it reads `FusionSettings`
    probabilities: Literal["unread", "read", "needed"] = "unread"  # of the base model
    needs_others: bool = False  # whether it reads predictions of other base models too


VOTES = Registry(
    "vote",
    {
        "frame": VoteRule(
            "sam2vss_lib.refinement.votes.frame:frame_vote",
            "each masklet votes on every frame anew, the literal reading of Eq. 2",
            title="frame vote",
            suffix="",
            by_frame=True,
        ),
        "masklet": VoteRule(
            "sam2vss_lib.refinement.votes.window:window_vote",
            "each masklet has one class for its whole window",
            title="window vote",
            suffix=" (window vote)",
        ),
        "soft": VoteRule(
            "sam2vss_lib.fusion.rules.soft:soft_vote",
            "as masklet, but a pixel votes by its probabilities",
            title="soft vote",
            suffix=" (soft vote)",
            probabilities="needed",
        ),
        "ensemble": VoteRule(
            "sam2vss_lib.fusion.rules.ensemble:ensemble_vote",
            "as masklet, but the predictions of several base models vote",
            title="ensemble vote",
            suffix=" (ensemble vote)",
            needs_others=True,
        ),
        "fragment": VoteRule(
            "sam2vss_lib.fusion.rules.fragment:fragment_vote",
            "as masklet, but the base model keeps fragments that it is sure of",
            title="fragment vote",
            suffix=" (fragment vote)",
            weighs=True,
            probabilities="needed",
        ),
        "adaptive": VoteRule(
            "sam2vss_lib.fusion.rules.adaptive:adaptive_vote",
            "as masklet, but the base model keeps pixels that probabilities and colours speak for",
            title="adaptive vote",
            suffix=" (adaptive vote)",
            weighs=True,
            probabilities="read",
        ),
        "learned": VoteRule(
            "sam2vss_lib.fusion.rules.learned:learned_vote",
            "as adaptive, but an arbiter that was fitted on labels decides",
            title="learned vote",
            suffix=" (learned vote)",
            weighs=True,
            probabilities="needed",
        ),
    },
)


def rule_of(label: str) -> VoteRule:
    """The rule whose suffix a refined row's label has; a rule without one has all others."""
    return next(rule for rule in reversed(VOTES.values()) if rule.suffix in label)
