"""What is said of a pixel equals a slow reference that decodes everything."""

from typing import get_args

import numpy as np
import pytest

from sam2vss_lib.fusion.rules.adaptive import MARGIN
from sam2vss_lib.refinement.settings import Overlap
from sam2vss_lib.views.palette import ORANGE, PURPLE, rgb
from sam2vss_lib.widgets.data import ExplorerData, Scene
from sam2vss_lib.widgets.pictures import layer_view
from sam2vss_lib.widgets.pixels import pixel_facts
from sam2vss_lib.widgets.stores import Choice
from sam2vss_lib.widgets.wording import hint_text, pixel_html
from tests.widgets.conftest import LOOSE, World, settings_at

PIXELS = ((0, 0), (160, 120), (319, 239), (80, 200), (200, 60), (121, 33))


def counts(labels: np.ndarray, mask: np.ndarray) -> dict[int, int]:
    values, numbers = np.unique(labels[mask & (labels != 255)], return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


@pytest.mark.parametrize("vote", ["frame", "masklet", "adaptive"])
@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_facts_equal_a_slow_reference(world: World, vote: str, overlap: Overlap) -> None:
    data, choice = world.data(LOOSE), Choice.of(settings_at(0.4, 0.2), vote, overlap)
    (clip,) = world.dataset
    scene = Scene(clip.name, "Coarse", 1)
    frames = (0, 1, 2)  # the window
    opened = data.opened(clip.name, choice)
    labels = {i: world.base.read(clip, i) for i in frames}
    masks = {i: opened.windows[0][i].masks() for i in frames}
    part = opened.windows[0][1]
    chosen = part.values("predicted_iou") > np.float32(0.4)
    for x, y in PIXELS:
        facts = pixel_facts(data, scene, choice, (x, y))
        covering = np.flatnonzero(masks[1][:, y, x] & chosen)
        numbers = part.values("masklet")
        assert {c.masklet for c in facts.candidates} == {*numbers[covering].tolist()}
        for candidate in facts.candidates:
            row = numbers.tolist().index(candidate.masklet)
            assert candidate.votes == counts(labels[1], masks[1][row])
            assert [*candidate.votes.values()] == sorted(candidate.votes.values(), reverse=True)
            total: dict[int, int] = {}
            for i in frames:
                for label, number in counts(labels[i], masks[i][row]).items():
                    total[label] = total.get(label, 0) + number
            assert candidate.window_votes == total
            assert candidate.area == masks[1][row].sum()
            votes = candidate.votes if vote == "frame" else total
            best = [k for k, v in votes.items() if v == max(votes.values())]
            assert candidate.label == (min(best) if best else 255)
        assert (facts.base, facts.truth) == (labels[1][y, x], clip.ground_truth(1)[y, x])
        assert facts.refined == data.labels(scene, choice)[y, x]
        assert [m.frame for m in facts.history] == [*frames]
        for moment in facts.history:
            there = scene.at(moment.frame)
            assert moment.base == labels[moment.frame][y, x]
            assert moment.refined == data.labels(there, choice)[y, x]
            assert moment.masklet == data.top(there, choice)[y, x]
        top = data.top(scene, choice)[y, x]
        if top >= 0:
            assert facts.candidates[0].masklet == top
        scores = world.base.read_probabilities(clip, 1)
        assert scores is not None
        assert facts.scores is not None
        expected = scores[:, y * 30 // 240, x * 40 // 320]
        assert [facts.scores[k] for k in range(data.num_classes)] == expected.tolist()
        assert next(iter(facts.scores)) == expected.argmax()


def test_under_the_pointer_only_this_frame_is_looked_at(world: World) -> None:
    data, choice = world.data(LOOSE), Choice.of(LOOSE)
    scene = Scene(world.dataset.clips[0].name, "Coarse", 1)
    quick = pixel_facts(data, scene, choice, (160, 120), window=False)
    full = pixel_facts(data, scene, choice, (160, 120))
    assert quick.history == ()
    assert [c.votes for c in quick.candidates] == [c.votes for c in full.candidates]
    assert all(c.window_votes == {} for c in quick.candidates)


def test_without_any_masklet_the_base_prediction_is_told(world: World) -> None:
    data: ExplorerData = world.data(LOOSE)
    scene = Scene(world.dataset.clips[0].name, "Coarse", 1)
    facts = pixel_facts(data, scene, Choice.of(settings_at(1.0, 0.2)), (5, 100))
    assert facts.candidates == facts.history == ()
    assert facts.base == facts.refined


@pytest.mark.parametrize("vote", ["frame", "adaptive"])
def test_evidence_is_what_the_adaptive_vote_decides_by(world: World, vote: str) -> None:
    data, choice = world.data(LOOSE), Choice.of(LOOSE, vote)
    scene = Scene(world.dataset.clips[0].name, "Coarse", 1)
    voted, adaptive = (
        data.labels(scene, choice._replace(vote=rule)) for rule in ("masklet", "adaptive")
    )
    base = data.labels(scene)
    disputed = (voted != base) & (base != 255)
    layer = layer_view(data, scene, choice, "evidence")
    assert layer is not None
    assert np.array_equal(layer[..., 3] > 0, disputed)
    for y, x in [*np.argwhere(disputed)[::997], (0, 0)]:
        facts = pixel_facts(data, scene, choice, (int(x), int(y)))
        if not disputed[y, x]:
            assert facts.evidence is None
            continue
        assert facts.evidence is not None
        kept = facts.evidence["steady in time"] > MARGIN
        assert kept == (adaptive[y, x] == base[y, x])
        assert layer[y, x, :3].tolist() == rgb(ORANGE if kept else PURPLE).tolist()
        who = "the base model" if kept else "the window vote"
        assert f"adaptive takes {who}'s label" in pixel_html(data, facts, 1)
        quick = pixel_facts(data, scene, choice, (int(x), int(y)), window=False)
        assert quick.evidence == (facts.evidence if vote == "adaptive" else None)
        assert (", evidence " in hint_text(data, quick)) == (vote == "adaptive")
