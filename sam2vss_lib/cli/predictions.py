"""`sam2vss predictions`: what other systems predicted, brought into the project's layout."""

from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.cli.options import (
    DatasetOptions,
    JsonOption,
    OffsetOption,
    clip_bar,
    print_clips,
    print_result,
)
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.study.settings import BaseSystem

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
