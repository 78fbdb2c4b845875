"""What the commands share: option types, opening the data, progress bars, and the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from tqdm import tqdm

from sam2vss_lib.cli.from_settings import option_of
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.study.settings import BaseSystem, StudySettings, profile_notebooks

DatasetOption = Annotated[str, option_of(StudySettings, "dataset")]
SplitOption = Annotated[str, option_of(StudySettings, "split")]
ClassesOption = Annotated[
    int | None, typer.Option("--num-classes", help="Where the data set has no class list.")
]
MaxClipsOption = Annotated[int | None, option_of(StudySettings, "max_clips")]
StrayOption = Annotated[str, option_of(StudySettings, "stray_labels")]
DeviceOption = Annotated[str, option_of(StudySettings, "device")]
OffsetOption = Annotated[int, option_of(BaseSystem, "label_offset")]
ProfileOption = Annotated[str, option_of(StudySettings, "profile")]
ResultsOption = Annotated[Path, typer.Option("--out", help="Results root.")]
OnlyOption = Annotated[
    str | None, typer.Option("--only", help="Notebooks such as 01,04 [default: the profile's].")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="NAME=VALUE of a notebook parameter, as in docs/settings.md; repeatable."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def open_clips(
    dataset: str, split: str, num_classes: int | None, max_clips: int | None, stray: str = "error"
) -> Any:
    """A split's clips, or its first `max_clips` (a `Dataset`)."""
    from sam2vss_lib.datasets import open_dataset

    opened = open_dataset(
        dataset, split, num_classes=num_classes, stray_labels=checked_stray(stray)
    )
    return opened.take(max_clips)


def checked_stray(value: str) -> Literal["error", "void"]:
    """The value of --stray-labels.

    Raises:
        SettingsError: it is neither.
    """
    if value not in ("error", "void"):
        raise SettingsError(f"--stray-labels {value}: expected error or void")
    return value


@contextmanager
def clip_bar(dataset: Any, what: str) -> Generator[Callable[[str], None]]:
    """Progress over clips, on a terminal only."""
    with tqdm(total=len(dataset), desc=what, unit="clip", disable=None) as bar:

        def tick(_clip: str) -> None:
            bar.update()

        yield tick


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


def open_plans(
    profile: str, out: Path, only: str | None, parameter: list[str] | None
) -> dict[Path, dict[str, Any]]:
    """Parameters of the notebooks that --profile, --only and --set ask for, by notebook."""
    from sam2vss_lib.study.run.planning import plan_study
    from sam2vss_lib.study.run.runner import find_notebooks

    overrides = dict(_assignment(text) for text in parameter or [])
    notebooks = find_notebooks(profile_notebooks(profile) if only is None else only)
    return plan_study(notebooks, profile, out, overrides)


def _assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a YAML value, so that 16 is a number and [a, b] a list."""
    name, separator, value = text.partition("=")
    if not separator:
        raise SettingsError(f"--set {text}: expected NAME=VALUE")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {text}: the value is not valid YAML") from None
