"""`sam2vss predictions`: what other systems predicted, brought into the project's layout."""

from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.cli.options import (
    ClassesOption,
    DatasetOptions,
    JsonOption,
    OffsetOption,
    clip_bar,
    print_clips,
    print_result,
)
from sam2vss_lib.storage.targets import check_file, check_folder
from sam2vss_lib.study.settings import BaseSystem, StudySettings

app = typer.Typer(no_args_is_help=True, help="Predictions in other systems' formats.")


@app.command("formats")
def formats(json_output: JsonOption = False) -> None:
    """List the formats that can be read."""
    from sam2vss_lib.predictions.importers.formats import FORMATS

    lines = [f"{name}: {description}" for name, description in FORMATS.items()]
    print_result(dict(FORMATS), json_output, "\n".join(lines))


@app.command("convert")
@with_settings(DatasetOptions, without=["max_clips", "mask_offset", "stray_labels"])
def convert(
    options: DatasetOptions,
    format_name: Annotated[str, option_of(BaseSystem, "format")],
    predictions: Annotated[Path, typer.Option(help="Folder of the predictions, or the .pkl file.")],
    out: Annotated[Path, typer.Option(help="Folder of label PNGs to write.")],
    label_offset: OffsetOption = 0,
    json_output: JsonOption = False,
) -> None:
    """Check another system's predictions and write them as label PNGs of classes 0..C-1."""
    from sam2vss_lib.errors import SettingsError
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.predictions.importers.convert import convert_predictions, open_predictions

    check_folder(out)
    if out.resolve() == predictions.resolve():
        raise SettingsError(f"--out {out}: is the folder of --predictions; name another")
    dataset = options.open()
    source = open_predictions(format_name, predictions, dataset, label_offset=label_offset)
    with clip_bar(dataset, "convert") as tick:
        folder = PredictionFolder(out, dataset.num_classes)
        reused = convert_predictions(dataset, source, folder, progress=tick)
    print_clips(out, dataset, reused, json_output)


@app.command("classes")
@with_settings(DatasetOptions, without=["num_classes", "mask_offset", "stray_labels"])
def class_map(
    options: DatasetOptions,
    model: Annotated[str, typer.Option(help="A model of transformers, hf:NAME.")],
    device: Annotated[str, option_of(StudySettings, "device")] = "auto",
    classes: ClassesOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Class map to begin: write classes in place of null.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """List which class each label of a model is, and its share of the pixels of some clips."""
    from sam2vss_lib.errors import SettingsError
    from sam2vss_lib.segmentors.hugging_face.shares import label_shares
    from sam2vss_lib.storage.files import write_json
    from sam2vss_lib.validation import resolve_device

    if out is not None:
        check_file(out)
        if out.exists():
            raise SettingsError(f"{out}: is there already, perhaps filled in; use another name")
    dataset = options.open()
    with clip_bar(dataset, "classes") as tick:
        found = label_shares(dataset, model, resolve_device(device), classes, progress=tick)
    if out is not None:
        write_json(out, {label: name for label, (name, _) in found.items()})
    result = {label: {"class": name, "share": share} for label, (name, share) in found.items()}
    lines = [f"{share:7.2%}  {label} -> {name or 'void'}" for label, (name, share) in found.items()]
    print_result(result, json_output, "\n".join(lines))
