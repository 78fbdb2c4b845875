"""`sam2vss predictions`: what other systems predicted, brought into the project's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of
from sam2vss_lib.cli.options import (
    ClassesOption,
    DatasetOption,
    JsonOption,
    OffsetOption,
    SplitOption,
    clip_bar,
    open_clips,
    print_result,
)
from sam2vss_lib.study.settings import BaseSystem

app = typer.Typer(no_args_is_help=True, help="Predictions in other systems' formats.")


@app.command("formats")
def formats(json_output: JsonOption = False) -> None:
    """List the formats that can be read."""
    from sam2vss_lib.predictions.importers.formats import FORMATS

    lines = [f"{name}: {description}" for name, description in FORMATS.items()]
    print_result(dict(FORMATS), json_output, "\n".join(lines))


@app.command("convert")
def convert(
    dataset: DatasetOption,
    format_name: Annotated[str, option_of(BaseSystem, "format")],
    predictions: Annotated[
        Path, typer.Option("--predictions", help="Folder of the predictions, or the .pkl file.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of label PNGs to write.")],
    split: SplitOption = "val",
    label_offset: OffsetOption = 0,
    num_classes: ClassesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check another system's predictions and write them as label PNGs of classes 0..C-1."""
    from sam2vss_lib.errors import SettingsError
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.predictions.importers.convert import convert_predictions, open_predictions

    if out.resolve() == predictions.resolve():
        raise SettingsError(f"--out {out}: is the folder of --predictions; name another")
    opened = open_clips(dataset, split, num_classes, None)
    source = open_predictions(format_name, predictions, opened, label_offset=label_offset)
    with clip_bar(opened, "convert") as tick:
        folder = PredictionFolder(out, opened.num_classes)
        reused = convert_predictions(opened, source, folder, progress=tick)
    result = {"out": str(out), "clips": len(opened), "reused": reused}
    print_result(result, json_output, f"{len(opened)} clips in {out}, {reused} of them reused")
