"""Rules that weigh evidence: against a slow reference, by their properties, and as a stage."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sam2vss_lib.datasets import VOID
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.fusion.rules.adaptive import MARGIN
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.storage.records import facts_of
from tests.fusion.common import CLASSES, Case


@pytest.fixture
def make_case(tiny_vspw: Path, tmp_path: Path) -> Callable[[int], Case]:
    return lambda seed: Case(tiny_vspw, tmp_path / str(seed), seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [-1.0, 0.5, 1.5])
def test_adaptive_is_what_its_evidence_says(
    make_case: Callable[[int], Case], tmp_path: Path, seed: int, margin: float
) -> None:
    case = make_case(seed)
    found = case.refined(tmp_path / "out", vote="adaptive", margin=margin, gate=False)
    expected = case.expected(margin)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    voted = case.refined(tmp_path / "voted", vote="masklet")
    assert any((one != other).any() for one, other in zip(found, voted, strict=True))


def test_labels_alone_leave_the_other_evidence(
    make_case: Callable[[int], Case], tmp_path: Path
) -> None:
    case = make_case(0)
    for path in case.base.root.rglob("*.npz"):
        path.unlink()
    found = case.refined(tmp_path / "out", vote="adaptive", margin=0.5, gate=False)
    expected = case.expected(0.5, with_probabilities=False)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    facts = facts_of(tmp_path / "out" / "first")
    assert 0 <= facts["changed_share"] <= 1
    assert "firm_share" not in facts
    assert facts["margin"] == 0.5
    case.refined(tmp_path / "own", vote="adaptive")
    assert facts_of(tmp_path / "own" / "first")["margin"] == MARGIN


@pytest.mark.parametrize("vote", ["fragment", "adaptive"])
def test_margins_go_from_the_base_model_to_the_window_vote(
    make_case: Callable[[int], Case], tmp_path: Path, vote: str
) -> None:
    case = make_case(1)
    voted = case.refined(tmp_path / "voted", vote="masklet")
    above = case.refined(tmp_path / "above", vote=vote, margin=1e9, gate=False)
    below = case.refined(tmp_path / "below", vote=vote, margin=-1e9, gate=False)
    for own, vote_labels, all_vote, all_base in zip(
        case.predictions, voted, above, below, strict=True
    ):
        assert np.array_equal(all_vote, vote_labels)
        # where the base model says nothing the vote has its way
        assert np.array_equal(all_base, np.where(own == VOID, vote_labels, own))


def test_every_label_is_the_base_models_or_the_votes(
    make_case: Callable[[int], Case], tmp_path: Path
) -> None:
    case = make_case(2)
    voted = case.refined(tmp_path / "voted", vote="masklet")
    found = case.refined(tmp_path / "out", vote="adaptive")
    for own, vote, labels in zip(case.predictions, voted, found, strict=True):
        assert ((labels == own) | (labels == vote)).all()


def test_temperature_divides_log_ratios(make_case: Callable[[int], Case], tmp_path: Path) -> None:
    case = make_case(0)
    plain = case.refined(tmp_path / "plain", vote="fragment", margin=0.6, gate=False)
    hot = case.refined(tmp_path / "hot", vote="fragment", margin=0.3, temperature=2.0, gate=False)
    assert all(np.array_equal(one, other) for one, other in zip(plain, hot, strict=True))


def test_a_sure_base_model_shuts_the_gate(make_case: Callable[[int], Case], tmp_path: Path) -> None:
    case = make_case(0)
    for i, labels in enumerate(case.predictions):
        known = np.where(labels == VOID, 0, labels)
        sure = (known == np.arange(CLASSES)[:, None, None]).astype(np.float16)
        case.base.write(case.clip, i, labels, sure)
    found = case.refined(tmp_path / "out", vote="adaptive", margin=5.0)
    facts = facts_of(tmp_path / "out" / "first")
    assert not facts["trusted"]
    assert facts["change_ratio"] * facts["firm_share"] > 1.1
    assert all(np.array_equal(a, b) for a, b in zip(found, case.predictions, strict=True))
    case.refined(tmp_path / "open", vote="adaptive", margin=5.0, gate=False)
    assert facts_of(tmp_path / "open" / "first")["trusted"]


def test_soft_votes_are_sums_of_probabilities(
    make_case: Callable[[int], Case], tmp_path: Path
) -> None:
    case = make_case(0)
    found = iter(case.refined(tmp_path / "out", vote="soft"))
    height, width = case.clip.size
    start = 0
    for masks in case.windows:
        mass = np.zeros((4, CLASSES))
        for t, frame in enumerate(masks):
            chances = case.probabilities[start + t].astype(float)
            for y in range(chances.shape[1]):
                for x in range(chances.shape[2]):
                    row = int((y + 0.5) * height / chances.shape[1])
                    column = int((x + 0.5) * width / chances.shape[2])
                    mass[frame[:, row, column]] += chances[:, y, x]
        for t, frame in enumerate(masks):
            expected = case.predictions[start + t].copy()
            for n in sorted(range(4), key=lambda n: (-frame[n].sum(), n)):
                if mass[n].any():
                    expected[frame[n]] = mass[n].argmax()
            assert np.array_equal(next(found), expected)
        start += len(masks)


def test_an_ensemble_of_equal_predictions_is_the_window_vote(
    make_case: Callable[[int], Case], tmp_path: Path
) -> None:
    case = make_case(0)
    voted = case.refined(tmp_path / "voted", vote="masklet")
    twin = PredictionFolder(tmp_path / "twin", CLASSES)
    for i, labels in enumerate(case.predictions):
        twin.write(case.clip, i, labels)
    out = PredictionFolder(tmp_path / "out", CLASSES)
    settings = RefineSettings(vote="ensemble")
    refine(case.dataset, case.base, case.store, out, settings, others=[twin])
    for i, labels in enumerate(voted):
        assert np.array_equal(out.read(case.clip, i), labels)
    with pytest.raises(SettingsError, match="--vote ensemble: give --predictions twice or more"):
        refine(case.dataset, case.base, case.store, out, settings)
    with pytest.raises(SettingsError, match="--vote frame: give --predictions once"):
        refine(case.dataset, case.base, case.store, out, RefineSettings(), others=[twin])


def test_missing_or_changed_probabilities_are_said(
    make_case: Callable[[int], Case], tmp_path: Path
) -> None:
    case = make_case(0)
    case.refined(tmp_path / "out", vote="adaptive")
    chances = case.probabilities[0][::-1].copy()
    case.base.write(case.clip, 0, case.predictions[0], chances)
    with pytest.raises(DataError, match="probabilities_sha256 is"):
        case.refined(tmp_path / "out", vote="adaptive")
    case.base.probabilities_path(case.clip, 0).unlink()
    with pytest.raises(DataError, match="no such probabilities, which --vote adaptive reads"):
        case.refined(tmp_path / "other", vote="adaptive")
    assert not (tmp_path / "other").exists()


def test_plain_votes_are_recorded_as_ever(make_case: Callable[[int], Case], tmp_path: Path) -> None:
    make_case(0).refined(tmp_path / "out", vote="masklet")
    record = json.loads((tmp_path / "out" / "first" / "made_from.json").read_text())
    assert record["settings"] == {"vote": "masklet", "overlap": "area"}
    assert not {"facts", "probabilities_sha256", "arbiter_sha256"} & record.keys()
