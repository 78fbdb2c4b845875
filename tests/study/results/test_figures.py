"""Figures render from data alone, with fixed colours and honest marks."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from sam2vss_lib.study.results import figures, style
from tests.study.rows import rows

NAMES = ("sky", "road", "car")


def sample() -> figures.Sample:
    truth = np.zeros((4, 4), np.uint8)
    truth[0] = 255
    base, refined = truth.copy(), truth.copy()
    base[0, 0], base[1, 0], refined[2, 0], base[3, 0], refined[3, 0] = 1, 1, 2, 1, 2
    image = np.full((4, 4, 3), 128, np.uint8)
    return figures.Sample("clip", "00000001", 1.5, image, truth, base, refined)


def test_change_map_marks_right_wrong_and_still_wrong_but_never_void():
    shown = figures.change_map(sample())
    plain = shown[1, 1]
    assert np.allclose(shown[1, 0], to_rgb(style.BETTER))
    assert np.allclose(shown[2, 0], to_rgb(style.WORSE))
    assert np.allclose(shown[3, 0], to_rgb(style.NEUTRAL))
    assert np.allclose(shown[0, 0], plain)  # void there: no change counts


def test_figure_3_has_five_panels_a_sample_and_a_legend_of_what_occurs():
    figure = figures.figure_3([sample(), sample()], NAMES, ("X", "SAM2-X"))
    assert len(figure.axes) == 10
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [*NAMES, "void", "now right", "now wrong", "wrong before and after"]
    assert [axis.get_title() for axis in figure.axes[:5]] == [
        "frame", "ground truth", "X", "SAM2-X", "changed pixels",
    ]  # fmt: skip


def test_gains_by_class_and_clip_are_differences():
    base, refined = rows()[:2]
    frame = figures.gains_frame([(base, refined)], "class", NAMES)
    assert frame["name"].tolist() == list(NAMES)
    runs = base.evaluated, refined.evaluated
    first = [run.metrics["per_class"][0]["iou"] for run in runs if run]
    assert frame["gain"][0] == first[1] - first[0]
    clips = figures.gains_frame([(base, refined)], "clip", NAMES)
    assert clips["name"].tolist() == [f"clip{i}" for i in range(4)]


def test_figure_of_gains_sorts_by_mean_gain():
    base, refined = rows()[:2]
    frame = figures.gains_frame([(base, refined)], "clip", NAMES)
    axis, bar = figures.figure_gains(frame, "mIoU gain (points)").axes
    shown = [label.get_text() for label in axis.get_yticklabels()]
    means = dict(zip(frame["name"], frame["gain"], strict=True))
    assert shown == sorted(means, key=lambda name: -means[name])
    assert bar.get_ylabel() == "mIoU gain (points)"


def test_cells_of_gains_say_their_numbers_and_blue_is_better():
    gains = {("a", "x"): 2.0, ("a", "y"): -1.0, ("b", "x"): 0.5}  # (system, class)
    lines = [{"system": s, "name": n, "gain": gain} for (s, n), gain in gains.items()]
    axis = figures.figure_gains(pd.DataFrame(lines), "gain").axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axis.texts] == ["+2.0", "+0.5", "−1.0", "–"]
    (image,) = axis.images
    better, worse, none = image.to_rgba(np.array([2.0, -2.0, 0.0]))[:, :3]
    assert np.allclose(better, to_rgb(style.BETTER))
    assert np.allclose(worse, to_rgb(style.WORSE))
    assert np.allclose(none, 1, atol=0.01)


def test_of_many_classes_the_largest_and_smallest_gains_are_shown():
    lines = [{"system": "a", "name": f"c{i}", "gain": float(i)} for i in range(50)]
    axis = figures.figure_gains(pd.DataFrame(lines), "gain").axes[0]
    shown = [label.get_text() for label in axis.get_yticklabels()]
    assert shown == [f"c{i}" for i in [*range(49, 29, -1), *range(19, -1, -1)]]
    assert axis.get_title() == "the 20 largest and 20 smallest of 50"
