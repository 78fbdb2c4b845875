"""`sam2vss fusion`: what learns on labels when to trust masklets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sam2vss_lib.cli.from_settings import with_settings
from sam2vss_lib.cli.options import (
    DatasetOptions,
    JsonOption,
    OffsetOption,
    clip_bar,
    prediction_folders,
    print_result,
    require_folders,
)
from sam2vss_lib.fusion.fit_settings import FitSettings

app = typer.Typer(no_args_is_help=True, help="Learn from labels when to trust masklets.")


@app.callback()
def _group() -> None:
    """Keep `fit` a command of its own."""


@app.command("fit")
@with_settings(DatasetOptions)
@with_settings(FitSettings)
def fit(
    settings: FitSettings,
    options: DatasetOptions,
    predictions: Annotated[
        list[Path],
        typer.Option(help="Base predictions with probabilities; repeat for more base models."),
    ],
    masklets: Annotated[Path, typer.Option(help="Masklet store.")],
    out: Annotated[Path, typer.Option(help="The arbiter to write, one .safetensors file.")],
    label_offset: OffsetOption = 0,
    json_output: JsonOption = False,
) -> None:
    """Fit the arbiter of --vote learned, and say whether it beats --vote adaptive.

    Take clips that the base models were not trained on: on those they are too sure of themselves.
    """
    from sam2vss_lib.fusion.arbiter import check_place
    from sam2vss_lib.fusion.fit import fit_arbiter
    from sam2vss_lib.masklets.store import MaskletStore

    check_place(out)
    dataset = options.open()
    bases = prediction_folders(predictions, dataset, label_offset)
    require_folders(masklets=masklets)
    with clip_bar(dataset, "fit", 2 * len(bases)) as tick:
        arbiter = fit_arbiter(dataset, bases, MaskletStore(masklets), settings, progress=tick)
    arbiter.save(out)
    print_result({"out": str(out), **arbiter.card}, json_output, _said(arbiter.card, out))


def _said(card: dict[str, Any], out: Path) -> str:
    """What was found, in a few lines, with the command that goes on."""
    lines = [
        f"temperature of {name}: {temperature}"
        for name, temperature in zip(card["predictions"], card["temperatures"], strict=True)
    ]
    for name, gains in card["gain_over"].items():
        gain, low, high = gains["mIoU"]
        interval = "" if low is None else f" [{low:+.2f}, {high:+.2f}]"
        lines.append(f"mIoU over {name} on clips not fitted on: {gain:+.2f}{interval}")
    if card["recommended"] == "adaptive":
        lines.append("it does not beat --vote adaptive here: use that")
    else:
        lines.append(
            f"use: sam2vss refine --vote learned --arbiter {out} "
            f"--temperature {card['temperatures'][0]}"
        )
    return "\n".join(lines)
