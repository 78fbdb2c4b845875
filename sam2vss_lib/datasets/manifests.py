"""Typed access to the facts in `data_manifests/`: data sets and checkpoints."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.places import manifest_path

ModelT = TypeVar("ModelT", bound=BaseModel)
EntryT = TypeVar("EntryT", "DatasetFacts", "CheckpointFacts")


class _Facts(BaseModel):
    """A frozen record that rejects unknown fields and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SplitFacts(_Facts):
    """Size of one split; None where the authors do not say."""

    clips: NonNegativeInt
    frames: NonNegativeInt | None
    masks: bool | None  # whether ground truth is public
    clip_list: str  # file in data_manifests/ that names the clips


class ConversionFacts(_Facts):
    """A smaller form of a data set that its authors' script makes."""

    name: str  # of `sam2vss data convert`
    height_px: PositiveInt
    source: str


class DatasetFacts(_Facts):
    """One public data set: its size, terms and known defects, and where to obtain it."""

    name: str
    title: str
    frames_per_second: float | None
    classes: PositiveInt
    class_names: str  # file in data_manifests/
    things: list[PositiveInt] | None  # mask labels (1..C) of countable classes
    frames: PositiveInt
    splits: dict[str, SplitFacts]
    obtain: list[str]
    licence: str | None
    terms: str
    citation: str
    conversions: list[ConversionFacts]
    notes: list[str]


class HubFacts(_Facts):
    """A repository on the Hugging Face hub, at one commit."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class CheckpointFacts(_Facts):
    """One SAM2 checkpoint; the embedded `demo` has neither file nor address here."""

    name: str
    family: Literal["SAM2", "SAM2.1", "demo"]
    config: str | None  # path inside the sam2 package
    file: str | None
    url: str | None
    hub: HubFacts | None
    bytes: PositiveInt | None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    sha256_source: Literal["publisher", "copies"] | None
    licence: str


class _DatasetsFile(_Facts):
    format_version: Literal[1]
    datasets: list[DatasetFacts]


class _CheckpointsFile(_Facts):
    format_version: Literal[1]
    checkpoints: list[CheckpointFacts]


def load_datasets_manifest(path: Path | None = None) -> dict[str, DatasetFacts]:
    """Read `datasets.yaml`, or another file of the same form: data sets by name, in its order.

    Raises:
        DataError: the file is missing or malformed; the message names file and field.
    """
    path = path or manifest_path("datasets.yaml")
    return _by_name(_read_yaml(path, _DatasetsFile).datasets, path)


def find_dataset_facts(name: str) -> DatasetFacts:
    """Facts about a published data set.

    Raises:
        SettingsError: no such data set.
    """
    known = load_datasets_manifest()
    if name not in known:
        others = "demo and demo-b are generated: --dataset demo"
        raise SettingsError(f"unknown data set {name!r}; known are: {', '.join(known)} ({others})")
    return known[name]


def load_checkpoints_manifest(path: Path | None = None) -> dict[str, CheckpointFacts]:
    """Read `checkpoints.yaml` as `load_datasets_manifest` does its file.

    Example:
        >>> load_checkpoints_manifest()["sam2.1_hiera_large"].config
        'configs/sam2.1/sam2.1_hiera_l.yaml'
    """
    path = path or manifest_path("checkpoints.yaml")
    return _by_name(_read_yaml(path, _CheckpointsFile).checkpoints, path)


def _read_yaml(path: Path, model: type[ModelT]) -> ModelT:
    """Read and validate a YAML file; every complaint becomes one line naming file and field."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    # arbitrary bytes may also hold impossible dates and numbers, or nest too deeply
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first, *others = error.errors()
        field = ".".join(str(part) for part in first["loc"]) or "top level"
        more = f" (and {len(others)} more)" if others else ""
        raise DataError(f"{path}: {field}: {first['msg']}{more}") from error


def _by_name(entries: list[EntryT], path: Path) -> dict[str, EntryT]:
    """Index entries by their name, which must be unique."""
    named: dict[str, EntryT] = {}
    for entry in entries:
        if named.setdefault(entry.name, entry) is not entry:
            raise DataError(f"{path}: name: {entry.name!r} is given twice")
    return named
