"""The computations beyond the paper: pixels to learn from, arbiters, and rules side by side."""

from functools import cached_property
from pathlib import Path

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.fusion.arbiter import Arbiter
from sam2vss_lib.fusion.calibration import measure_temperature
from sam2vss_lib.fusion.comparison import WINDOW_VOTE, Weighed, compare
from sam2vss_lib.fusion.fit import (
    Pixels,
    adaptive_way,
    learned_way,
    sample_pixels,
    train_arbiter,
    windows_of,
)
from sam2vss_lib.fusion.fit_settings import FitSettings
from sam2vss_lib.fusion.rules import adaptive, fragment
from sam2vss_lib.masklets.filling.fill import fill_masklets
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.runs import covered_by
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import PROTOCOL, MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import probability_files
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.storage.records import is_finished, mark_finished, mark_started, sha256_files
from sam2vss_lib.study.settings import BaseSystem, BeyondSettings, OtherData, StudySettings
from sam2vss_lib.study.stages.context import KEY_DIGITS, Progress
from sam2vss_lib.study.stages.evaluation import predictions_sha256
from sam2vss_lib.study.stages.study import Study

BASE = "base"
ADAPTIVE, UNGATED = "adaptive vote", "adaptive vote, no gate"
LEARNED, LEFT_OUT = "learned vote", "learned vote, base model not seen"
#: part of the evidence -> the adaptive vote without it
WITHOUT = {
    "probabilities": "fragment_log_ratio",
    "colour": "colour",
    "votes": "vote_ratio",
    "outline": "outline",
}


def ways() -> dict[str, Weighed]:
    """The rules that are weighed without training, by their names in tables."""
    weights = adaptive.WEIGHTS
    name = "fragment_log_ratio"
    found = {
        "fragment vote": Weighed(
            (name,), lambda frame: frame.columns[name], fragment.MARGIN, in_time=False
        ),
        UNGATED: adaptive_way(weights),
        ADAPTIVE: adaptive_way(weights, gated=True),
        "adaptive vote without time": adaptive_way(weights, in_time=False),
    }
    for part, column in WITHOUT.items():
        others = {name: weight for name, weight in weights.items() if name != column}
        found[f"adaptive vote without {part}"] = adaptive_way(others)
    return found


class BeyondStudy(Study):
    """A study whose base models keep their probabilities, with arbiters fitted on another split.

    Raises:
        SettingsError: the settings name no split to fit on.
    """

    saves_probabilities = True

    def __init__(self, settings: StudySettings) -> None:
        super().__init__(settings)
        if not isinstance(settings, BeyondSettings):
            raise SettingsError("fit_split: none is given; name the clips to fit on")
        self.beyond = settings
        self._pixels: dict[str, Pixels] = {}
        self._arbiters: dict[tuple[str, ...], Arbiter] = {}

    @cached_property
    def systems(self) -> list[BaseSystem]:
        """Base systems that can be run here."""
        return [one for one in self.settings.base_systems if self.why_not(one) is None]

    @cached_property
    def fit_study(self) -> Study:
        """The same systems on the clips to fit on."""
        return self._on(split=self.beyond.fit_split)

    def _on(self, **data: str) -> Study:
        """A study of the same systems on all clips of other data, with one log of all work."""
        study = Study(self.settings.model_copy(update={**data, "max_clips": None}))
        study.saves_probabilities, study.log = True, self.log
        return study

    def pixels(self, system: BaseSystem) -> Pixels:
        """Disputed pixels of a base system on the clips to fit on."""
        if system.label not in self._pixels:
            study = self.fit_study
            base, masklets = study.base(system).folder, study.masklets

            def work(*, progress: Progress) -> int:
                step = FitSettings().temperature_frame_step
                temperature = measure_temperature(study.dataset, base, step)
                given = (study.dataset, base, temperature, masklets, FitSettings())
                self._pixels[system.label] = sample_pixels(*given, progress=progress)
                return 0

            study.timed("evidence to fit on", system.label, work)
        return self._pixels[system.label]

    def arbiter(self, systems: list[BaseSystem]) -> Arbiter:
        """The arbiter fitted on these base systems."""
        key = tuple(one.label for one in systems)
        if key not in self._arbiters:
            joined = Pixels.joined([self.pixels(one) for one in systems])
            self._arbiters[key] = train_arbiter(joined, FitSettings())
        return self._arbiters[key]

    def weighed(self, system: BaseSystem) -> dict[str, MetricSuite]:
        """Metrics of all rules that weigh evidence, and of the window vote, for a base system."""
        others = [one for one in self.systems if one != system]
        fitted = {LEARNED: self.systems} | ({LEFT_OUT: others} if others else {})
        given = (system.label, self.dataset, self.base(system).folder, self.masklets)
        return self._compared(*given, ways(), fitted)

    @cached_property
    def filled(self) -> MaskletStore:
        """The study's masklets with more where they cover nothing."""
        source, settings = self.masklets, FillSettings()
        identity = settings.model_dump(mode="json")
        key = self.key(source.root.name, sha256_json(identity))
        out = self.root / "filled" / key

        def work(*, progress: Progress) -> int:
            run = fill_masklets(
                self.dataset,
                self.sam2,
                self.settings.masklets,
                settings,
                source,
                out,
                progress=progress,
            )
            return run.masklets.reused

        self.timed("fill masklets", key, work)
        return MaskletStore(out)

    def weighed_filled(self, system: BaseSystem) -> dict[str, MetricSuite]:
        """The window vote and the two best ways on the filled masklets, by names that say so."""
        given = (system.label, self.dataset, self.base(system).folder, self.filled)
        made = self._compared(*given, {ADAPTIVE: ways()[ADAPTIVE]}, {LEARNED: self.systems})
        return {f"{rule}, filled": made[rule] for rule in (WINDOW_VOTE, ADAPTIVE, LEARNED)}

    def covered(self, masklets: MaskletStore) -> dict[str, float]:
        """Share of pixels under no masklet, and how many objects were followed on a frame."""
        covered = followed = pixels = frames = 0
        for clip in self.dataset:
            stored = masklets.read(clip.name)
            rows = stored.table
            followed += int((rows["frame"].to_numpy() >= rows["anchor"].to_numpy()).sum())
            parts = (part for window in stored.windows() for part in window)
            covered += sum(int(covered_by(part.runs()).sum()) for part in parts)
            frames += clip.num_frames
            pixels += clip.num_frames * clip.size[0] * clip.size[1]
        return {"uncovered": 1 - covered / pixels, "objects a frame": followed / frames}

    def weighed_on(self, other: OtherData) -> dict[str, MetricSuite]:
        """The same on other data, with an arbiter that has seen all of the study's base systems."""
        study = self._on(dataset=other.dataset, split=other.split)
        masklets = study.masklets if other.masklets is None else MaskletStore(Path(other.masklets))
        base = (
            study.base(self.systems[0]).folder
            if other.predictions is None
            else PredictionFolder(Path(other.predictions), study.dataset.num_classes)
        )
        given = (other.label, study.dataset, base, masklets)
        return self._compared(*given, ways(), {LEARNED: self.systems})

    def _compared(
        self,
        label: str,
        dataset: Dataset,
        base: PredictionFolder,
        masklets: MaskletStore,
        known: dict[str, Weighed],
        fitted: dict[str, list[BaseSystem]],
    ) -> dict[str, MetricSuite]:
        """One pass over the evidence; sums are kept on disk, and found again.

        `known` are ways that need no fit, `fitted` those of the arbiters of some base systems. All
        weigh probabilities as they are, as without labels one has to, so that one pass serves all;
        arbiters learn at measured temperatures, which are near 1 here (0.9 to 1.05).
        """
        probabilities = [
            path for clip in dataset for path in probability_files(base, clip, "learned")
        ]
        made_from = {
            "data_sha256": dataset.content_sha256(),
            "predictions_sha256": predictions_sha256(dataset, base),
            "probabilities_sha256": sha256_files(probabilities),
            "masklets_sha256": sha256_files(masklets.path(clip.name) for clip in dataset),
            "fitted_on_sha256": self.fit_study.dataset.content_sha256(),
            "fitted": {rule: [self.base(one).key for one in on] for rule, on in fitted.items()},
            "fit": FitSettings().model_dump(mode="json"),
            "ways": {rule: [*way.columns, way.margin] for rule, way in known.items()},
            "weights": adaptive.WEIGHTS,
            "protocol": PROTOCOL.id,
        }
        key = f"{label.replace(' ', '_')}-{sha256_json(made_from)[:KEY_DIGITS]}"
        folder = self.root / "weighed" / key
        every = [WINDOW_VOTE, BASE, *known, *fitted]
        paths = {rule: folder / f"{rule.replace(' ', '_')}.npz" for rule in every}

        def work(*, progress: Progress) -> int:
            if is_finished(folder, made_from):
                return len(dataset)
            suites = {rule: MetricSuite(dataset.num_classes) for rule in every}
            given = known | {rule: learned_way(self.arbiter(on)) for rule, on in fitted.items()}
            for clip in dataset:
                compare(clip, base, windows_of(clip, base, masklets), given, suites)
                progress(clip.name)
            mark_started(folder, made_from)
            for rule, suite in suites.items():
                suite.save(paths[rule])
            mark_finished(folder, made_from)
            return 0

        self.timed("weigh evidence", key, work, dataset, whole=True)
        return {rule: MetricSuite.load(path) for rule, path in paths.items()}
