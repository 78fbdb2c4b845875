"""Refinement by vote: against a per-pixel oracle, by its properties, and as a resumable stage."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydantic import ValidationError

from sam2vss_lib.datasets import VOID, Dataset, open_dataset, open_frames
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.counting import count_votes, winning_classes
from sam2vss_lib.refinement.painting import paint
from sam2vss_lib.refinement.refine import check_predictions, refine
from sam2vss_lib.refinement.settings import Overlap, RefineSettings, Vote
from tests.masklets.common import disjoint, forget_what_is_ours, runs_of, write_masklets
from tests.oracles.refinement import Masklet, refine_window

NUM_CLASSES = 3
SIZE = (4, 5)
labels = hnp.arrays(np.uint8, SIZE, elements=st.sampled_from([0, 1, 2, VOID]))
one_mask = hnp.arrays(np.bool_, (1, *SIZE))
some_masks = hnp.arrays(np.bool_, st.tuples(st.integers(0, 4), *map(st.just, SIZE)))


def refine_frame(prediction: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Literal vote, smaller masks on top."""
    runs = runs_of(masks)
    votes = count_votes(runs, prediction, NUM_CLASSES)
    return paint(prediction, runs, winning_classes(votes), -masks.sum((1, 2)))


@given(labels)
def test_without_masks_nothing_changes(prediction: np.ndarray) -> None:
    masks = np.zeros((0, *SIZE), bool)
    assert np.array_equal(refine_frame(prediction, masks), prediction)


@given(labels, one_mask, st.integers(0, NUM_CLASSES - 1))
def test_mask_of_one_class_changes_nothing(
    prediction: np.ndarray, mask: np.ndarray, label: int
) -> None:
    prediction[mask[0]] = label
    assert np.array_equal(refine_frame(prediction, mask), prediction)


@given(labels, one_mask)
def test_single_mask_is_constant_and_the_rest_is_kept(
    prediction: np.ndarray, mask: np.ndarray
) -> None:
    refined = refine_frame(prediction, mask)
    assert len(np.unique(refined[mask[0]])) <= 1
    assert np.array_equal(refined[~mask[0]], prediction[~mask[0]])


@given(labels, some_masks)
def test_void_never_replaces_a_class(prediction: np.ndarray, masks: np.ndarray) -> None:
    refined = refine_frame(prediction, masks)
    assert not ((refined == VOID) & (prediction != VOID)).any()


@given(labels, some_masks, one_mask)
def test_masklet_over_void_only_is_as_if_it_were_not_there(
    prediction: np.ndarray, masks: np.ndarray, blind: np.ndarray
) -> None:
    prediction[blind[0]] = VOID
    both = np.concatenate([masks, blind])
    assert np.array_equal(refine_frame(prediction, both), refine_frame(prediction, masks))


@given(labels, some_masks, st.permutations(range(NUM_CLASSES)))
def test_names_of_classes_do_not_matter_without_ties(
    prediction: np.ndarray, masks: np.ndarray, order: list[int]
) -> None:
    votes = count_votes(runs_of(masks), prediction, NUM_CLASSES)
    best = -np.sort(-votes, axis=1)
    assume(bool(((best[:, 0] > best[:, 1]) | (best[:, 0] == 0)).all()))
    renamed = np.full(256, VOID, np.uint8)
    renamed[:NUM_CLASSES] = order
    expected = renamed[refine_frame(prediction, masks)]
    assert np.array_equal(refine_frame(renamed[prediction], masks), expected)


def test_ties_go_to_the_lowest_class() -> None:
    votes = np.array([[2, 5, 5], [0, 0, 3], [4, 4, 4], [0, 0, 0]])
    assert winning_classes(votes).tolist() == [1, 2, 0, VOID]


def test_equal_priority_lets_the_later_mask_win() -> None:
    runs, prediction = runs_of(np.ones((2, 1, 2), bool)), np.zeros((1, 2), np.uint8)
    painted = paint(prediction, runs, np.array([1, 2], np.uint8), np.array([7.0, 7.0]))
    assert painted.tolist() == [[2, 2]]


@given(labels, some_masks)
def test_votes_are_counts_of_pixels(prediction: np.ndarray, masks: np.ndarray) -> None:
    votes = count_votes(runs_of(masks), prediction, NUM_CLASSES)
    expected = [[np.sum(prediction[mask] == label) for label in range(3)] for mask in masks]
    assert np.array_equal(votes, np.reshape(expected, (-1, NUM_CLASSES)))


class Case:
    """The tiny data set with random predictions and masklets in windows of 2, 2 and 1 frames.

    The second window has no masklet; in the first, one is empty on the second frame and one lies
    over void only on the first frame.
    """

    def __init__(self, root: Path, folder: Path, seed: int = 0, lengths: tuple = (2, 2, 1)) -> None:
        self.dataset: Dataset = open_dataset(root, "val", clips=["first"])
        self.clip = self.dataset.clips[0]
        self.store = MaskletStore(folder / "masklets")
        self.base = PredictionFolder(folder / "base", NUM_CLASSES)
        self.out = PredictionFolder(folder / "refined", NUM_CLASSES)
        rng = np.random.default_rng(seed)
        height, width = self.clip.size
        blocks = rng.choice(np.array([0, 1, 2, VOID], np.uint8), (5, height // 2, width // 2))
        self.predictions = list(np.kron(blocks, np.ones((1, 2, 2), np.uint8)))
        counts = [0 if i == 1 and len(lengths) == 3 else 4 for i in range(len(lengths))]
        self.windows, self.scores = [], []
        for length, count in zip(lengths, counts, strict=True):
            masks = np.zeros((length, count, height, width), bool)
            for mask in masks.reshape(-1, height, width):
                y, x = rng.integers(0, height - 6), rng.integers(0, width - 6)
                mask[y : y + rng.integers(4, 14), x : x + rng.integers(4, 14)] = True
            self.windows.append(masks)
            # two equal scores among the four, so that ties of the overlap rules occur
            scores = rng.permuted(np.tile([0.7, 0.7, 0.8, 0.9], (2, 1)), axis=1)
            self.scores.append(scores[:, :count].astype(np.float32))
        first = self.windows[0]
        first[-1, 1] = False
        self.predictions[0][first[0, 2]] = VOID
        for i, prediction in enumerate(self.predictions):
            self.base.write(self.clip, i, prediction)
        write_masklets(self.store, "first", self.windows, self.scores)

    def refine(self, vote: Vote = "frame", overlap: Overlap = "area") -> int:
        settings = RefineSettings(vote=vote, overlap=overlap)
        return refine(self.dataset, self.base, self.store, self.out, settings)

    def refined(self) -> list[np.ndarray]:
        return [self.out.read(self.clip, i) for i in range(self.clip.num_frames)]

    def expected(self, vote: Vote, overlap: Overlap) -> list[np.ndarray]:
        frames: list[np.ndarray] = []
        for masks, (iou, stability) in zip(self.windows, self.scores, strict=True):
            visible = [disjoint(frame) for frame in masks]
            masklets = [
                Masklet(list(masks[:, i]), [v[i] for v in visible], iou[i], stability[i])
                for i in range(masks.shape[1])
            ]
            predictions = self.predictions[len(frames) : len(frames) + len(masks)]
            frames += refine_window(predictions, masklets, vote, overlap)
        return frames


@pytest.fixture
def case(tiny_vspw: Path, tmp_path: Path) -> Case:
    return Case(tiny_vspw, tmp_path)


@pytest.mark.parametrize("overlap", get_args(Overlap))
@pytest.mark.parametrize("vote", ["frame", "masklet"])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_oracle(
    tiny_vspw: Path, tmp_path: Path, seed: int, vote: Vote, overlap: Overlap
) -> None:
    case = Case(tiny_vspw, tmp_path, seed)
    case.refine(vote, overlap)
    refined = case.refined()
    assert np.array_equal(refined, case.expected(vote, overlap))
    changed = [not np.array_equal(a, b) for a, b in zip(refined, case.predictions, strict=True)]
    assert changed == [True, True, False, False, True]  # no masklets in the second window


def test_the_two_votes_differ_but_not_in_windows_of_one_frame(
    tiny_vspw: Path, tmp_path: Path
) -> None:
    results = {}
    for lengths in ((2, 2, 1), (1, 1, 1, 1, 1)):
        for vote in ("frame", "masklet"):
            case = Case(tiny_vspw, tmp_path / f"{vote}{len(lengths)}", lengths=lengths)
            case.refine(vote)
            results[len(lengths), vote] = case.refined()
    assert np.array_equal(results[5, "frame"], results[5, "masklet"])
    assert not np.array_equal(results[3, "frame"], results[3, "masklet"])


def test_finished_clip_is_reused(case: Case) -> None:
    assert case.refine() == 0
    path = case.out.path(case.clip, 0)
    written = path.stat().st_mtime_ns
    assert case.refine() == 1
    assert path.stat().st_mtime_ns == written
    path.unlink()
    assert case.refine() == 0
    assert np.array_equal(case.refined(), case.expected("frame", "area"))


def test_interrupted_clip_is_done_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    write = PredictionFolder.write

    def interrupted(self: PredictionFolder, clip, i: int, *arguments) -> None:
        if i == 1:
            raise KeyboardInterrupt
        write(self, clip, i, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionFolder, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            case.refine()
    assert case.out.missing(case.clip) == (1, 2, 3, 4)
    assert case.refine() == 0
    assert np.array_equal(case.refined(), case.expected("frame", "area"))


def refused(case: Case, *words: str, vote: Vote = "frame") -> None:
    """Refining fails with one line that says `words`."""
    with pytest.raises(DataError) as caught:
        case.refine(vote)
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_other_inputs_are_refused_by_name(case: Case) -> None:
    case.refine()
    where = str(case.out.root / "first")
    refused(case, where, "settings.vote is frame, not masklet", vote="masklet")
    write_masklets(case.store, "first", case.windows, case.scores[:1] * 3)
    refused(case, "masklets_sha256 is ")
    write_masklets(case.store, "first", case.windows, case.scores)
    case.base.write(case.clip, 3, np.zeros(case.clip.size, np.uint8))
    refused(case, "predictions_sha256 is ")


def test_other_numbering_of_labels_is_not_taken_for_the_same(case: Case) -> None:
    case.refine()
    case.out = PredictionFolder(case.out.root, NUM_CLASSES, label_offset=1)
    refused(case, "label_offset is 0, not 1")


def test_others_files_are_not_mixed_with_ours(case: Case) -> None:
    theirs = case.out.root / "first" / "00000008.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    refused(case, str(theirs.parent), "unknown origin", "00000008.png", "another --out")
    assert theirs.read_bytes() == b"theirs"
    assert [path.name for path in theirs.parent.iterdir()] == [theirs.name]


def test_predictions_of_frames_that_were_replaced_since(case: Case) -> None:
    record = case.base.root / case.clip.name / "made_from.json"
    record.write_text(json.dumps({"frames_sha256": case.clip.frames_sha256()}))
    case.refine()
    record.write_text(json.dumps({"frames_sha256": "0" * 64}))
    refused(case, str(record.parent), "made of other frames than clip first", "segment it again")


def test_missing_prediction(case: Case) -> None:
    path = case.base.path(case.clip, 2)
    path.unlink()
    refused(case, str(path), "no such prediction", "sam2vss segment")
    assert not case.out.root.exists()


def test_predictions_of_all_frames_are_looked_at_before_masklets(tmp_path: Path) -> None:
    frames, base = tmp_path / "street", PredictionFolder(tmp_path / "base", 3)
    frames.mkdir()
    for i in range(9):
        Image.new("RGB", (8, 6)).save(frames / f"{i}.png")
    (clip,) = open_frames(frames)
    for i in range(9):
        base.write(clip, i, np.zeros((6, 8), np.uint8))
    check_predictions(base, clip)
    for i, size, value, said in ((7, (8, 5), 0, "7.png: is 5x8"), (4, (8, 6), 3, "label 3 is")):
        Image.new("L", size, value).save(base.path(clip, i))
        with pytest.raises(DataError, match=said):
            check_predictions(base, clip)
        base.write(clip, i, np.zeros((6, 8), np.uint8))


def test_damaged_prediction_leaves_nothing_of_the_clip(case: Case) -> None:
    path = case.base.path(case.clip, 4)
    path.write_bytes(path.read_bytes()[:40])
    refused(case, str(path))
    assert not case.out.root.exists()


def test_missing_masklets(case: Case) -> None:
    case.store.path("first").unlink()
    refused(case, "first.parquet", "no masklets of clip first", "sam2vss masklets")


def test_masklets_of_another_number_of_frames_or_size(case: Case) -> None:
    write_masklets(case.store, "first", case.windows[:1], case.scores[:1])
    refused(case, "first.parquet", "(2, 24, 32)", "has (5, 24, 32)", "name the masklets of")
    wide = [np.concatenate([w, w], axis=-1) for w in case.windows]
    write_masklets(case.store, "first", wide, case.scores)
    refused(case, "first.parquet", "(5, 24, 64)", "has (5, 24, 32)", "name the masklets of")


def test_masklets_of_another_program_do_but_for_the_overlap_rule_logit(case: Case) -> None:
    forget_what_is_ours(case.store.path("first"))
    with pytest.raises(DataError, match=r"first\.parquet: no column 'rle_visible'.* logit needs"):
        case.refine(overlap="logit")
    assert not case.out.root.exists()
    assert case.refine() == 0
    assert np.array_equal(case.refined(), case.expected("frame", "area"))


def test_out_must_not_be_the_base_predictions(case: Case) -> None:
    before = case.base.path(case.clip, 0).read_bytes()
    case.out = PredictionFolder(case.base.root / ".." / "base", NUM_CLASSES)
    with pytest.raises(SettingsError, match="choose another --out"):
        case.refine()
    assert case.base.path(case.clip, 0).read_bytes() == before


@pytest.mark.parametrize("wrong", [{"vote": "window"}, {"overlap": "largest"}, {"votes": "frame"}])
def test_unknown_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        RefineSettings(**wrong)
