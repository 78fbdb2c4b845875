"""The controls beside the canvas: what is looked at, and what it is refined by."""

from __future__ import annotations

from typing import Any, get_args

import ipywidgets as widgets

from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import Overlap
from sam2vss_lib.widgets.data import ExplorerData, Shown
from sam2vss_lib.widgets.stores import Choice

BASE, PINNED = "base prediction", "pinned settings"
_STYLE = {"description_width": "120px"}


def _votes() -> list[tuple[str, str]]:
    """Titles and names of the rules that need no more than labels and masklets."""
    return [
        (rule.title, name)
        for name, rule in VOTES.items()
        if rule.probabilities != "needed" and not rule.needs_others
    ]


class Controls:
    """Dropdowns and sliders, which offer what there are masklets of.

    Attributes:
        all: the widgets, by what they choose.
        pin: button that keeps the settings to compare others with.
    """

    def __init__(self, data: ExplorerData, clip: str, choice: Choice) -> None:
        self._data, self._pinned = data, choice
        bases = [*data.bases]
        points = "Points per side"
        self.all: dict[str, Any] = {
            "base": _dropdown("Base system", bases, bases[0]),
            "clip": _dropdown("Clip, worst first", [clip], clip),
            "window": _dropdown("Window (frames)", [choice.window], choice.window),
            "points": _dropdown(points, [choice.points_per_side], choice.points_per_side),
            "iou": _threshold("Predicted IoU >", choice.pred_iou_thresh),
            "stability": _threshold("Stability from", choice.stability_score_thresh),
            "vote": _dropdown("Vote", _votes(), choice.vote),
            "overlap": _dropdown("On top", get_args(Overlap), choice.overlap),
            "beside": _dropdown("Right of swipe", [BASE, *data.others], BASE),
        }
        self.pin = widgets.Button(
            description="Pin these settings", tooltip="Compare others with these, by the swipe"
        )
        self.pin.on_click(self._keep)
        self._offer_clips()
        self._offer_masklets()
        for name in ("base", "clip", "window"):
            self.all[name].observe(self._offer_anew, "value")

    def rows(self) -> list[Any]:
        """Everything, in lines that wrap."""
        flow = widgets.Layout(flex_flow="row wrap")
        lines = [[*self.all.values()][start : start + 4] for start in (0, 4)]
        lines.append([self.all["beside"], self.pin])
        return [widgets.HBox(line, layout=flow) for line in lines]

    @property
    def clip(self) -> str:
        """Name of the clip."""
        return self.all["clip"].value

    @property
    def base(self) -> str:
        """Name of the base system."""
        return self.all["base"].value

    @property
    def choice(self) -> Choice:
        """What base predictions are refined by."""
        names = ("window", "points", "iou", "stability", "vote", "overlap")
        return Choice(*(self.all[name].value for name in names))

    @property
    def beside(self) -> tuple[str, Shown]:
        """What is right of the swipe, and its name."""
        name = self.all["beside"].value
        if name == PINNED:
            return name, self._pinned
        return name, self.base if name == BASE else name

    def _keep(self, _button: Any) -> None:
        self._pinned = self.choice
        _offer(self.all["beside"], [BASE, PINNED, *self._data.others], PINNED)

    def _offer_anew(self, change: Any) -> None:
        if change["owner"] is self.all["base"]:
            self._offer_clips()
        else:
            self._offer_masklets()

    def _offer_clips(self) -> None:
        gains = self._data.gains.get(self.base, {})
        _offer(
            self.all["clip"],
            [
                (f"{name} ({gains[name]:+.1f})" if name in gains else name, name)
                for name in self._data.ranked(self.base)
            ],
            self.clip,
        )

    def _offer_masklets(self) -> None:
        """Windows and points that there are masklets of, and thresholds from the lowest stored."""
        stores = self._data.stores_of(self.clip)
        grids = stores.grids()
        wanted = self.choice
        windows = sorted({window for window, _ in grids})
        window = min(windows, key=lambda w: abs(w - wanted.window))
        points = [side for w, side in grids if w == window]
        nearest = min(points, key=lambda p: abs(p - wanted.points_per_side))
        _offer(self.all["window"], windows, window)
        _offer(self.all["points"], points, nearest)
        least = stores.least((window, nearest))
        self.all["iou"].min, self.all["stability"].min = least


def _offer(dropdown: Any, options: list[Any], value: Any) -> None:
    """Give a dropdown other options, of which one is chosen; it takes the first in between."""
    if list(dropdown.options) != options:
        dropdown.options = options
    dropdown.value = value


def _dropdown(label: str, options: Any, value: Any) -> Any:
    return widgets.Dropdown(description=label, options=options, value=value, style=_STYLE)


def _threshold(label: str, value: float) -> Any:
    return widgets.FloatSlider(
        description=label, min=0, max=1, step=0.01, value=value, style=_STYLE
    )
