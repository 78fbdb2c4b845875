"""What the commands share: option types, the data, stages here or on Ray, and the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
import yaml
from pydantic import BaseModel, Field
from tqdm import tqdm

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.approximations import Approximations, preset_values
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray
from sam2vss_lib.storage.places import GENERATED
from sam2vss_lib.study.settings import BaseSystem, StudySettings, profile_notebooks

if TYPE_CHECKING:
    from sam2vss_lib.datasets import Dataset
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.refinement.settings import FusionSettings

#: gives a command, whose first argument they are, the options of masklets
with_masklet_settings = with_settings(
    MaskletSettings,
    without=["fill_hole_area_px"],
    preset=preset_values,
    preset_fields=Approximations.model_fields,
)
OffsetOption = Annotated[int, option_of(BaseSystem, "label_offset")]
ConfigOption = Annotated[str | None, typer.Option(help="SAM2 configuration of an unofficial file.")]
ObjectsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Objects propagated together, which bounds memory: each takes 220 MiB with a "
        "SAM2 of 1024 px, whatever the size of frames; found when not given.",
    ),
]
ClassesOption = Annotated[str | None, option_of(BaseSystem, "classes")]
MaxFramesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Take only the first so many frames of a video or image folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def in_study(name: str) -> Any:
    """A field of the study's settings, for settings that have some of them."""
    return StudySettings.model_fields[name]


class SplitOptions(BaseModel, frozen=True):
    """Options about a split, whatever is done with it."""

    split: str = in_study("split")
    num_classes: int | None = Field(None, description="Where the data set has no class list.")
    mask_offset: int | None = in_study("mask_offset")
    stray_labels: Literal["error", "void"] = in_study("stray_labels")


class DatasetOptions(SplitOptions, frozen=True):
    """Options of commands that go through the clips of a data set."""

    dataset: str = in_study("dataset")
    max_clips: int | None = in_study("max_clips")

    def open(self) -> Dataset:
        """The split's clips, or its first `max_clips`."""
        from sam2vss_lib.datasets import open_dataset

        facts = self.model_dump(include={"num_classes", "mask_offset", "stray_labels"})
        return open_dataset(self.dataset, self.split, **facts).take(self.max_clips)


class StudyOptions(BaseModel, frozen=True):
    """Options of commands about the study, which say its notebooks and their parameters."""

    profile: str = Field("demo", description=in_study("profile").description)
    out: Path = Field(Path("results"), description="Results root.")
    only: str | None = Field(None, description="Notebooks such as 01,04; else the profile's.")
    set: list[str] | None = Field(
        None, description="NAME=VALUE of a notebook parameter, as in docs/settings.md; repeatable."
    )

    @property
    def overrides(self) -> dict[str, Any]:
        """The caller's own parameters."""
        return dict(_assignment(text) for text in self.set or [])

    def open(self) -> dict[Path, dict[str, Any]]:
        """Parameters of the notebooks that are asked for, by notebook."""
        from sam2vss_lib.study.run.planning import plan_study
        from sam2vss_lib.study.run.runner import find_notebooks

        only = profile_notebooks(self.profile) if self.only is None else self.only
        return plan_study(find_notebooks(only), self.profile, self.out, self.overrides)


@contextmanager
def clip_bar(dataset: Dataset, what: str, times: int = 1) -> Generator[Callable[[str], None]]:
    """Progress over clips, each of which is told so many times, on a terminal only."""
    with tqdm(total=times * len(dataset), desc=what, unit="clip", disable=None) as bar:

        def tick(_clip: str) -> None:
            bar.update()

        yield tick


def print_clips(out: Path, dataset: Dataset, reused: int, as_json: bool) -> None:
    """Print what a stage did to clips, of which some were done before."""
    result = {"out": str(out), "clips": len(dataset), "reused": reused}
    print_result(result, as_json, f"{len(dataset)} clips in {out}, {reused} of them reused")


def print_result(result: dict[str, Any], as_json: bool, text: str) -> None:
    """Print a command's result as JSON, or as `text`."""
    typer.echo(json.dumps(result, indent=1) if as_json else text)


def require_folders(**folders: Path) -> None:
    """Refuse folders that are not there, given by the names of their options.

    Raises:
        DataError: the first one missing.
    """
    for option, folder in folders.items():
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder (--{option})")


def prediction_folders(
    paths: Iterable[Path], dataset: Dataset, label_offset: int
) -> list[PredictionFolder]:
    """The predictions of several base models.

    Raises:
        DataError: a folder is not there.
    """
    from sam2vss_lib.predictions.folder import PredictionFolder

    for folder in (paths := list(paths)):
        require_folders(predictions=folder)
    return [PredictionFolder(one, dataset.num_classes, label_offset) for one in paths]


def warn_of_demo_arbiter(settings: FusionSettings, source: str) -> None:
    """Say on stderr that the embedded arbiter is not for this source, if it is not."""
    if settings.has_demo_arbiter and source not in GENERATED:
        typer.echo(
            f"warning: --arbiter demo is for generated clips alone, not for {source}; use --vote "
            "adaptive, or fit an arbiter on labels of your own (sam2vss fusion fit)",
            err=True,
        )


def _assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a YAML value, so that 16 is a number and [a, b] a list."""
    name, separator, value = text.partition("=")
    if not separator:
        raise SettingsError(f"--set {text}: expected NAME=VALUE")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {text}: the value is not valid YAML") from None


ResultT = TypeVar("ResultT")
#: a stage with all but its clips given: does those of a `Dataset`, and tells the name of each one
#: to the function `progress`
ClipWork = Callable[..., ResultT]


class StageOptions(DatasetOptions, frozen=True):
    """Options of stages, which say what they run on and where."""

    device: str = in_study("device")
    workers: int | None = Field(
        None, ge=1, description="Processes that share the clips, one per GPU; needs Ray."
    )
    ray: str | None = Field(None, description="Address of a Ray cluster that shares the work.")

    def pool(self, *, may_use_gpu: bool) -> RayPool | None:
        """Where clips are worked on; None for this process."""
        here = self.workers is None and self.ray is None
        return None if here else RayPool(self.workers, self.ray, may_use_gpu)


def run_stage(
    dataset: Dataset, make_work: Callable[[], ClipWork[ResultT]], pool: RayPool | None, what: str
) -> list[ResultT]:
    """Run a stage on the clips of a data set: its result for all, or in workers for each of them.

    Without a pool it runs in this process. `make_work` loads what it needs, in every worker; `what`
    names the progress bar.
    """
    if pool is None:
        with clip_bar(dataset, what) as tick:
            return [make_work()(dataset, progress=tick)]
    return map_on_ray(
        make_work,
        [replace(dataset, clips=(clip,)) for clip in dataset],
        pool,
        costs=[clip.num_frames for clip in dataset],
        names=[clip.name for clip in dataset],
        what=what,
        unit="frame",
    )
