"""Masklets that change their voted class, counted mask by mask, beside gains in consistency."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2vss_lib.study.analyses.cross_dataset.vote_flips import (
    flipped_percent,
    flipped_votes,
    flips_reading,
    flips_table,
)
from tests.masklets.common import runs_of
from tests.study.rows import evaluated, rows

CLASSES, SIZE = 3, (6, 8)
CLIP: Any = None  # these predictions are the same in every clip


def part(frame: int, masks: np.ndarray) -> Any:
    """The masklets of a window on one frame."""
    areas = {"area": masks.sum((1, 2))}
    return SimpleNamespace(frame=frame, runs=lambda: runs_of(masks), values=areas.__getitem__)


def a_clip(masks: np.ndarray, labels: np.ndarray, window: int) -> tuple[Any, Any]:
    """Stored masklets and predictions of (T, n, H, W) masks and (T, H, W) labels."""
    parts = [part(i, frame) for i, frame in enumerate(masks)]
    windows = [parts[i : i + window] for i in range(0, len(parts), window)]
    stored = SimpleNamespace(windows=lambda: windows)
    return stored, SimpleNamespace(num_classes=CLASSES, read=lambda clip, i: labels[i])


def by_hand(masks: np.ndarray, labels: np.ndarray, window: int) -> float | None:
    """Every masklet's vote by sorting the classes of its pixels."""
    flipped = followed = 0
    for n in range(masks.shape[1]):
        last = None
        for t in range(len(masks)):
            last = None if t % window == 0 else last
            classes = [c for c in labels[t][masks[t, n]].tolist() if c != 255]
            if classes:
                vote = min(set(classes), key=lambda c: (-classes.count(c), c))
                if last is not None:
                    followed += masks[t, n].sum()
                    flipped += masks[t, n].sum() * (vote != last)
                last = vote
    return 100 * flipped / followed if followed else None


@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from([0.02, 0.5]))
def test_flips_are_those_of_going_through_every_masklet(seed: int, window: int, share: float):
    rng = np.random.default_rng(seed)
    masks = rng.random((5, 3, *SIZE)) < share  # a small share leaves some of them empty
    labels = rng.choice([0, 1, 2, 255], (5, *SIZE)).astype(np.uint8)
    stored, predictions = a_clip(masks, labels, window)
    found, expected = flipped_percent(CLIP, predictions, stored), by_hand(masks, labels, window)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_steady_predictions_flip_nothing_even_when_a_masklet_hides():
    masks = np.ones((4, 1, *SIZE), bool)
    masks[1] = False
    labels = np.ones((4, *SIZE), np.uint8)
    stored, predictions = a_clip(masks, labels, 4)
    assert flipped_percent(CLIP, predictions, stored) == 0
    labels[2:] = 2  # the class differs from that before it hid
    assert flipped_percent(CLIP, predictions, stored) == 50


def test_clips_stand_beside_their_own_gains(monkeypatch: pytest.MonkeyPatch):
    shares = {"clip0": 1.0, "clip1": 2.0, "clip2": None, "clip3": 4.0}
    monkeypatch.setattr(
        "sam2vss_lib.study.analyses.cross_dataset.vote_flips.flipped_percent",
        lambda clip, *_, **__: shares[clip.name],
    )
    study: Any = SimpleNamespace(
        dataset=[SimpleNamespace(name=name) for name in shares],
        settings=SimpleNamespace(votes=("frame",)),
        masklets=SimpleNamespace(read=lambda name: None),
        device="cpu",
    )
    base, refined, absent = rows()
    flips = flipped_votes(study, [base, refined, absent])
    assert flips["clip"].tolist() == ["clip0", "clip1", "clip3"]  # nothing to follow in clip2
    assert flips["flips"].tolist() == [1.0, 2.0, 4.0]
    before, after = (
        {line["clip"]: line["mVC8"] for line in evaluated(error, seed=seed).metrics["per_clip"]}
        for error, seed in ((0.2, 0), (0.05, 1))
    )
    expected = [after[clip] - before[clip] for clip in flips["clip"]]
    assert flips["frame"].tolist() == pytest.approx(expected)
    assert flips_table(flips)["Clip"].tolist() == ["clip3", "clip1", "clip0"]


def frame_of(**columns: list[float]) -> pd.DataFrame:
    clips = [f"clip{i}" for i in range(len(columns["flips"]))]
    return pd.DataFrame({"system": "X", "clip": clips, **columns})


def test_reading_follows_the_numbers():
    most = frame_of(
        flips=[0.2, 4.7, 1.8, 2.6], frame=[9.0, -19.0, 4.0, -9.0], masklet=[1.0, 2.0, 3.0, -1.0]
    )
    assert flips_reading(most) == (
        "X: mVC8 falls in 2 of 4 clips with the frame vote and in 1 with the window vote; votes "
        "flip at 2.6 to 4.7 % of masklets' pixels in the clips where the frame vote lowers it, at "
        "0.2 to 1.8 % in the others (rank correlation of gain and flips -1.00): the frame vote's "
        "mVC8 falls in the clips where votes flip most."
    )
    mixed = flips_reading(frame_of(flips=[1.0, 4.0, 2.0], frame=[-1.0, 2.0, -3.0]))
    assert "flips alone do not tell" in mixed
    assert "window vote" not in mixed
    assert "correlation" not in flips_reading(frame_of(flips=[0.0, 0.0], frame=[-1.0, 2.0]))
    never = flips_reading(frame_of(flips=[1.0, 4.0], frame=[1.0, 2.0]))
    assert never == "X: mVC8 falls in 0 of 2 clips with the frame vote."
    assert flips_reading(frame_of(flips=[1.0], masklet=[1.0])) == ""
    nothing: Any = SimpleNamespace(settings=SimpleNamespace(votes=("frame",)))
    assert flips_reading(flipped_votes(nothing, [])) == ""
    assert flips_table(flipped_votes(nothing, [])).empty
