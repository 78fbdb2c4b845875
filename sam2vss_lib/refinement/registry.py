"""The vote rules. Another one is a module in `votes`, or anywhere, and a line in `VOTES`.

A rule is a function from a `Window` to the refined labels, (H, W) uint8, of each of its frames.
"""

from dataclasses import dataclass

from sam2vss_lib.registry import Entry, Registry


@dataclass(frozen=True)
class VoteRule(Entry):
    """A vote rule."""

    title: str  # as prose and legends name it
    suffix: str  # what tables add to a system's name
    by_frame: bool = False  # whether a frame's labels follow from that frame alone


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
    },
)


def rule_of(label: str) -> VoteRule:
    """The rule whose suffix a refined row's label has; a rule without one has all others."""
    return next(rule for rule in reversed(VOTES.values()) if rule.suffix in label)
