"""The atlas by click: each cause lists its fragments, and each fragment is drawn."""

from typing import Any

import pytest

from sam2vss_lib.study.analyses.failure_atlas.figures import (
    figure_atlas,
    figure_fragment,
    worst_of,
)
from sam2vss_lib.study.stages.study import Study
from sam2vss_lib.widgets.analyses.failures import explore_failures
from tests.study.analyses.failure_atlas.test_atlas import Pairs, the_atlas
from tests.study.analyses.failure_atlas.test_atlas import pairs as pairs
from tests.study.analyses.failure_atlas.test_atlas import study as study


def test_without_anybody_to_click_it_is_the_overview(study: Study, pairs: Pairs):
    overview = figure_atlas(study, the_atlas(study, pairs))
    assert explore_failures(study, the_atlas(study, pairs), overview, live=False) is overview
    assert explore_failures(study, None, overview, live=True) is overview


def test_a_cause_lists_its_fragments_and_each_is_drawn(study: Study, pairs: Pairs):
    atlas = the_atlas(study, pairs)
    widget: Any = explore_failures(study, atlas, figure_atlas(study, atlas), live=True)
    _, cause, number, picture = widget.children
    assert [*cause.options] == atlas.causes
    for name in atlas.causes:
        cause.value = name
        worst = worst_of(atlas, name)
        assert len(number.options) == len(worst)
        assert number.options[0].startswith(f"{worst[0]['pixels']} px, {worst[0]['clip']}, frame")
        first = bytes(picture.value)
        if len(worst) > 1:
            number.index = 1
            assert bytes(picture.value) != first


@pytest.mark.parametrize("place", [0, -1])
def test_a_fragment_is_told_in_words(study: Study, pairs: Pairs, place: int):
    atlas = the_atlas(study, pairs)
    one = worst_of(atlas, atlas.causes[0])[place]
    right, painted = (study.class_names[one[of]] for of in ("right", "painted"))
    figure = figure_fragment(study, atlas, one)
    assert figure.get_suptitle() == f"{one['cause']}: {right} was painted {painted}"
    assert len(figure.axes[0].images) == 5
