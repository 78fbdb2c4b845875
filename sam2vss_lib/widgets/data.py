"""What the explorer shows, as plain arrays: chosen masklets, and labels that they refine.

Nothing here runs SAM2: stored masklets are filtered, vote and are painted by the library's own
functions, so that labels are those of `refine` on the same masklets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import FrameMasklets, MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.views.layers import NO_MASKLET, masklet_ids
from sam2vss_lib.widgets.cache import MIB, Bounded
from sam2vss_lib.widgets.stores import Choice, ClipStores, OpenedMasklets
from sam2vss_lib.widgets.window import ChosenWindow, Evidence, FrameMemory, weighed


class Scene(NamedTuple):
    """A frame of a clip and the base predictions that are refined there."""

    clip: str
    base: str
    frame: int

    def at(self, frame: int) -> Scene:
        """Another frame of the clip."""
        return self._replace(frame=frame)


Shown = Choice | str  # masklets to refine the base predictions by, or the name of predictions


class Refined(NamedTuple):
    """A frame's refined labels, and the masklets that they follow from."""

    labels: Labels  # (H, W) uint8
    classes: NDArray[np.uint8]  # (n,) of each chosen masklet, void where it takes no part
    part: FrameMasklets | None  # the n chosen masklets; None where there are none


def _some(part: FrameMasklets, chosen: NDArray[np.bool_]) -> FrameMasklets:
    """Some of a frame's masklets, (n,) bool."""
    return FrameMasklets(part.rows.filter(pa.array(chosen)))


def _refined_bytes(refined: Refined) -> int:
    return refined.labels.nbytes


@dataclass
class ExplorerData:
    """A data set, base predictions, stored masklets, and what follows from them.

    Everything is read when it is asked for, and memory is bounded, however long clips are.
    """

    dataset: Dataset
    class_names: tuple[str, ...]
    bases: Mapping[str, PredictionFolder]  # to be refined, by name
    stores: Sequence[MaskletStore]  # of masklets, the study's own first
    others: Mapping[str, PredictionFolder] = field(default_factory=dict)  # to compare with
    # base -> clip -> gain of refinement in points of mIoU, where it was measured
    gains: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.memory = FrameMemory()
        self._refined = Bounded[Refined](64 * MIB, _refined_bytes)
        self._stores = Bounded[ClipStores](2, lambda _: 1)
        self._evidence = Bounded[list[Evidence]](1, lambda _: 1)  # of a window
        self._probabilities = Bounded[NDArray[np.float16] | None](1, lambda _: 1)

    @cached_property
    def clips(self) -> list[str]:
        """Names of the clips that have masklets, as in the split's list."""
        return [c.name for c in self.dataset if any(s.path(c.name).is_file() for s in self.stores)]

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    def ranked(self, base: str) -> list[str]:
        """The clips, those that refinement harms most first; those without a gain last."""
        gains = self.gains.get(base, {})
        return sorted(self.clips, key=lambda name: gains.get(name, np.inf))

    def clip(self, name: str) -> Clip:
        """A clip."""
        return self.dataset.clip(name)

    def stores_of(self, clip: str) -> ClipStores:
        """The masklets that there are of a clip."""
        return self._stores.get(clip, lambda: ClipStores(self.clip(clip), self.stores))

    def opened(self, clip: str, choice: Choice) -> OpenedMasklets:
        """The stored masklets that a choice is made from."""
        return self.stores_of(clip).opened(choice)

    def truth(self, scene: Scene) -> Labels | None:
        """Ground truth of a frame, (H, W) uint8; None where there is none."""
        clip = self.clip(scene.clip)
        if scene.frame not in clip.annotated:
            return None
        key = scene.clip, None, scene.frame
        return self.memory.labels.get(key, lambda: clip.ground_truth(scene.frame))

    def labels(self, scene: Scene, shown: Shown | None = None) -> Labels:
        """Labels of a frame, (H, W) uint8: by default the base predictions.

        Others are base predictions refined by a choice, or predictions that are named.
        """
        if isinstance(shown, Choice):
            return self.refined(scene, shown).labels
        name = shown or scene.base
        folder = self.bases[name] if name in self.bases else self.others[name]
        return self.memory.labels.get(
            (scene.clip, name, scene.frame),
            lambda: folder.read(self.clip(scene.clip), scene.frame),
        )

    def probabilities(self, scene: Scene) -> NDArray[np.float16] | None:
        """Class probabilities of the base predictions, (C, h, w) of any resolution, or None."""
        folder, clip = self.bases[scene.base], self.clip(scene.clip)
        if not folder.probabilities_path(clip, scene.frame).exists():
            return None
        return self._probabilities.get(scene, lambda: folder.read_probabilities(clip, scene.frame))

    def window(
        self,
        scene: Scene,
        choice: Choice,
        *,
        only: NDArray[np.integer] | None = None,
        whole: bool = True,
    ) -> tuple[ChosenWindow, int] | None:
        """The window of a frame with its chosen masklets, and the frame's index in it.

        Args:
            scene: says the frame.
            choice: says which masklets.
            only: numbers of masklets to choose from; all if not given.
            whole: whether other frames of the window are in it.

        Returns:
            None where the frame has no masklets.
        """
        opened = self.opened(scene.clip, choice)
        place = opened.place(scene.frame)
        if place is None:
            return None
        number, index = place
        stored, memory = opened.windows[number], self.memory
        chosen = opened.kept(stored[index], choice)
        if not whole:
            stored, index = stored[index : index + 1], 0
        if only is not None:  # too few to be worth a place in the memory
            chosen &= np.isin(stored[index].values("masklet"), only)
            stored = [_some(part, chosen) for part in stored]
            chosen = np.ones(int(chosen.sum()), np.bool_)
            memory = FrameMemory(labels=memory.labels)
        window = ChosenWindow(
            clip=self.clip(scene.clip),
            predictions=self.bases[scene.base],
            parts=[_some(part, chosen) for part in stored],
            overlap=choice.overlap,
            stored=stored,
            chosen=chosen,
            memory=memory,
            key=(scene.clip, opened.settings),
            base=scene.base,
        )
        return window, index

    def refined(self, scene: Scene, choice: Choice) -> Refined:
        """A frame's labels as `refine` gives them for the chosen masklets."""
        return self._refined.get((scene, choice), lambda: self._refine(scene, choice))

    def _refine(self, scene: Scene, choice: Choice) -> Refined:
        rule = VOTES.find(choice.vote)
        found = self.window(scene, choice, whole=not rule.by_frame)
        if found is None or not found[0].chosen.any():
            return Refined(self.labels(scene), np.zeros(0, np.uint8), None)
        window, index = found
        window.wanted = index
        labels = next(x for i, x in enumerate(rule.load()(window)) if i == index)
        return Refined(labels, window.classes[index], window.parts[index])

    def top(self, scene: Scene, choice: Choice) -> NDArray[np.int32]:
        """The masklet that each pixel takes its class from, (H, W) int32; -1 where none is."""
        refined = self.refined(scene, choice)
        if refined.part is None:
            return np.full(refined.labels.shape, NO_MASKLET, np.int32)
        return masklet_ids(refined.part, choice.overlap, refined.classes)

    def evidence(self, scene: Scene, choice: Choice) -> Evidence | None:
        """What `adaptive` weighs on a frame, whichever vote is chosen; None without masklets."""
        place = self.opened(scene.clip, choice).place(scene.frame)
        if place is None:
            return None
        number, index = place

        def weigh() -> list[Evidence]:
            found = self.window(scene, choice)
            return weighed(found[0]) if found is not None and found[0].chosen.any() else []

        key = scene.at(number), choice._replace(vote="adaptive")
        frames = self._evidence.get(key, weigh)
        return frames[index] if frames else None
