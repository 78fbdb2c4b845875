"""The explorer: a canvas, the controls beside it, and the work that follows when they are moved."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ipywidgets as widgets
import numpy as np

from sam2vss_lib.metrics.protocol import MetricSettings
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.views.layers import Picture
from sam2vss_lib.widgets.cache import Bounded
from sam2vss_lib.widgets.canvas import Canvas
from sam2vss_lib.widgets.controls import BASE, Controls
from sam2vss_lib.widgets.data import ExplorerData, Scene, Shown
from sam2vss_lib.widgets.measures import ClipMeasures, Curve, lives
from sam2vss_lib.widgets.pictures import (
    LAYERS,
    encoded_frame,
    encoded_layer,
    frame_view,
    layer_view,
    swipe_view,
)
from sam2vss_lib.widgets.pixels import pixel_facts
from sam2vss_lib.widgets.render import default_scene
from sam2vss_lib.widgets.wording import LEGEND, NO_GATE, hint_text, metrics_html, pixel_html

_OPACITY = {"refined": 0.45, "changes": 0.8}  # of the layers that are seen at first
_STILL_S = 0.25  # without a change until metrics are counted
_OFTEN_S = 0.3  # at most so often they are shown while they are counted


class Explorer(widgets.VBox):
    """Move thresholds, window, vote and overlap rule, and see labels and metrics follow.

    Whatever is moved is drawn at once, the last of several moves only; the clip's metrics follow
    frame by frame while nothing is moved.

    Attributes:
        data: what is shown.
        canvas: shows it.
        controls: say what.
    """

    def __init__(self, data: ExplorerData) -> None:
        self.data, (scene, choice) = data, default_scene(data)
        self.controls = Controls(data, scene.clip, choice)
        self.canvas = Canvas(
            frame=scene.frame,
            frames=data.clip(scene.clip).num_frames,
            layers=[
                {"name": name, "title": title, "opacity": _OPACITY.get(name, 0.0)}
                for name, title in LAYERS.items()
                if layer_view(data, scene, choice, name) is not None
            ],
        )
        self.remark, self.metrics = widgets.HTML(), widgets.HTML()
        self._runs = Bounded[ClipMeasures](256, lambda _: 1)
        self._seen: dict[str, Any] = {}  # what was drawn, counted and said last
        self._task: asyncio.Task[None] | None = None
        self._moved_at = self._told_at = 0.0
        for control in self.controls.all.values():
            control.observe(self._moved, "value")
        self.canvas.observe(self._moved, ["frame", "layers", "swipe", "pixel", "hover"])
        super().__init__([*self.controls.rows(), self.remark, self.canvas, self.metrics])
        self.draw()
        self._moved()

    @property
    def scene(self) -> Scene:
        """What is looked at."""
        return Scene(self.controls.clip, self.controls.base, self.canvas.frame)

    def _moved(self, _change: Any = None) -> None:
        """Follow what was moved, once everything that has been moved meanwhile is heard of."""
        self._moved_at = time.monotonic()
        if self._task is None or self._task.done():
            try:
                self._task = asyncio.get_running_loop().create_task(self._follow())
            except RuntimeError:  # not in a kernel: the caller settles
                self._task = None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(0)
            if self.draw():
                continue
            if time.monotonic() - self._moved_at < _STILL_S:
                await asyncio.sleep(_STILL_S / 5)
            elif not self._count():
                return

    def settle(self) -> None:
        """Do all that is left to do, now."""
        while self.draw() or self._count():
            pass

    def picture(self) -> Picture:
        """What the canvas shows, (H, W, 3) uint8 in the frame's resolution."""
        visible = [(layer["name"], layer["opacity"]) for layer in self.canvas.layers]
        visible = [(name, opacity) for name, opacity in visible if opacity > 0]
        scene, choice = self.scene, self.controls.choice
        left = frame_view(self.data, scene, choice, visible)
        if self.canvas.swipe == 1:
            return left
        right = frame_view(self.data, scene, self.controls.beside[1], visible)
        return swipe_view(left, right, self.canvas.swipe)

    def _sides(self) -> dict[str, tuple[str, Shown]]:
        """What is on each side of the swipe that is seen, with its name."""
        choice, swipe = self.controls.choice, self.canvas.swipe
        left = {"left": (str(choice), choice)} if swipe > 0 else {}
        return left | ({"right": self.controls.beside} if swipe < 1 else {})

    def _is_new(self, what: str, value: Any) -> bool:
        """Whether something differs from what it was last."""
        differs = self._seen.get(what) != value
        self._seen[what] = value
        return differs

    def draw(self) -> bool:
        """Bring what is seen up to date; returns whether it was not."""
        canvas, controls = self.canvas, self.controls
        if self._is_new("clip", controls.clip):
            canvas.frames = self.data.clip(controls.clip).num_frames
            canvas.frame = min(canvas.frame, canvas.frames - 1)
            canvas.pixel = canvas.hover = []
        scene, choice = self.scene, controls.choice
        visible = [layer["name"] for layer in canvas.layers if layer["opacity"] > 0]
        state = scene, choice
        drawn = self._is_new("pictures", (state, {*visible}, sides := self._sides()))
        if drawn:
            canvas.pictures = {
                "frame": scene.frame,
                "size": [*self.data.clip(scene.clip).size],
                **{side: self._pictures(shown, visible) for side, (_, shown) in sides.items()},
            }
            canvas.names = [name for name, _ in sides.values()]
        if self._is_new("choice", (scene.clip, choice)):
            gate = f" {NO_GATE}" if VOTES.find(choice.vote).weighs else ""
            self.remark.value = self.data.opened(scene.clip, choice).remark(choice) + gate
        if self._is_new("pixel", (state, canvas.pixel)):
            drawn, canvas.info = True, ""
            if canvas.pixel:
                facts = pixel_facts(self.data, scene, choice, tuple(canvas.pixel))
                canvas.info = pixel_html(self.data, facts, scene.frame)
        if self._is_new("hover", (state, canvas.hover)) and canvas.hover:
            at = tuple(canvas.hover)
            facts = pixel_facts(self.data, scene, choice, at, window=False)
            drawn, canvas.hint = True, hint_text(self.data, facts)
        return drawn

    def _pictures(self, shown: Shown, visible: list[str]) -> dict[str, bytes]:
        frame = self.data.clip(self.scene.clip).frame(self.scene.frame)
        found = {"frame": encoded_frame(frame)}
        for name in visible:
            if (layer := encoded_layer(self.data, self.scene, shown, name)) is not None:
                found[name] = layer
        return found

    def _measured(self) -> dict[str, ClipMeasures]:
        """Runs over the clip whose numbers are shown: base, these settings, and what is beside."""
        scene, choice = self.scene, self.controls.choice
        shown: dict[str, Shown] = {BASE: scene.base, "these settings": choice}
        if self.canvas.swipe < 1:
            name, beside = self.controls.beside
            shown.setdefault(name, beside)
        return {
            name: self._runs.get(
                (scene.clip, scene.base, one),
                lambda one=one: ClipMeasures(self.data, scene.clip, scene.base, one),
            )
            for name, one in shown.items()
        }

    def _count(self) -> bool:
        """Count one more frame for the metrics; returns whether anything was to be done."""
        runs = self._measured()
        left = next((run for run in runs.values() if not run.finished), None)
        if left is not None:
            left.step()
        news = self._is_new("runs", [(id(run), run.done) for run in runs.values()])
        if news and (left is None or left.finished or time.monotonic() - self._told_at > _OFTEN_S):
            self._told_at = time.monotonic()
            self._tell(runs)
        return news

    def _tell(self, runs: dict[str, ClipMeasures]) -> None:
        done, total = (sum(getattr(r, n) for r in runs.values()) for n in ("done", "frames"))
        names = MetricSettings(self.data.num_classes).metric_names
        annotated = bool(self.data.clip(self.controls.clip).annotated)
        about = "" if annotated else "This clip has no ground truth."
        measured = {label: run.metrics for label, run in runs.items()}
        self.metrics.value = metrics_html(names, measured, about)
        base, refined = runs[BASE], runs["these settings"]
        lived = lives(self.data, self.controls.clip, self.controls.choice)
        self.canvas.status = "" if done == total else f"counting metrics: {done} of {total} frames"
        self.canvas.curves = {
            "base_miou": _plain(base.miou),
            "base_boundary": _plain(base.boundary),
            "miou": _plain(refined.miou),
            "boundary": _plain(refined.boundary),
            "changed": _plain(refined.changed),
            "births": lived.births.tolist(),
            "deaths": lived.deaths.tolist(),
            "legend": LEGEND,
        }


def _plain(curve: Curve) -> list[float | None]:
    """A curve as JSON has it."""
    return [None if np.isnan(value) else round(float(value), 3) for value in curve]
