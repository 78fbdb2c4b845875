"""`sam2vss words`: masklets get their class from words, by an image-text model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.cli.options import (
    ClipWork,
    JsonOption,
    OffsetOption,
    StageOptions,
    clip_bar,
    print_clips,
    print_result,
    require_folders,
    run_stage,
)
from sam2vss_lib.isam2.words.settings import LookSettings, WordSettings
from sam2vss_lib.refinement.settings import Overlap, RefineSettings
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.validation import validated

if TYPE_CHECKING:
    from sam2vss_lib.isam2.words.phrases import Phrases
    from sam2vss_lib.isam2.words.segment import Words

app = typer.Typer(no_args_is_help=True, help="Classes of masklets from words (CLIP, SigLIP).")

_Model = Annotated[
    str,
    typer.Option(
        help="demo, trained on the demo's clips, or hf:FOLDER or hf:NAME: a CLIP, SigLIP or SigLIP "
        "2 of transformers (`sam2vss checkpoints fetch hf:NAME`)."
    ),
]
_Phrases = Annotated[
    Path | None,
    typer.Option(help='JSON or YAML, {"class": ["phrase", ...]}; else the classes\' own names.'),
]
_Masklets = Annotated[Path, typer.Option(help="Masklet store.")]


@app.command("segment")
@with_settings(StageOptions, without=["mask_offset", "stray_labels"])
@with_settings(LookSettings)
@with_settings(WordSettings)
def segment(
    words: WordSettings,
    look: LookSettings,
    stage: StageOptions,
    masklets: _Masklets,
    features: Annotated[
        Path, typer.Option(help="Folder of the masklets' features, which other words can use.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of predictions.")],
    model: _Model = "demo",
    phrases: _Phrases = None,
    fill: Annotated[
        Path | None, typer.Option(help="Base predictions for what no masklet covers.")
    ] = None,
    label_offset: OffsetOption = 0,
    overlap: Annotated[str, option_of(RefineSettings, "overlap")] = "area",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write class probabilities too.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Give every masklet the class whose words an image-text model finds closest.

    What comes out is a folder of predictions, void where there is no masklet and no --fill: to be
    measured, or to vote with others (`sam2vss refine --vote ensemble`).
    """
    from sam2vss_lib.isam2.words.phrases import class_phrases

    check_folder(features)
    check_folder(out)
    painted = validated(RefineSettings, {"overlap": overlap}, "option").overlap
    require_folders(masklets=masklets, **({"fill": fill} if fill else {}))
    dataset = stage.open()
    said = class_phrases(dataset.class_names, phrases)
    reading = model, stage.device, look, words, said
    made = masklets, features, out, fill, label_offset, painted, probabilities
    pool = stage.pool(may_use_gpu=stage.device != "cpu")
    done = run_stage(dataset, partial(_segmenting, *reading, *made), pool, "words")
    print_clips(out, dataset, sum(done), json_output)


def _segmenting(
    model: str,
    device: str,
    look: LookSettings,
    words: WordSettings,
    phrases: Phrases,
    masklets: Path,
    features: Path,
    out: Path,
    fill: Path | None,
    label_offset: int,
    overlap: Overlap,
    probabilities: bool,
) -> ClipWork[int]:
    from sam2vss_lib.isam2.features import FeatureStore
    from sam2vss_lib.masklets.store import MaskletStore
    from sam2vss_lib.predictions.folder import PredictionFolder

    return partial(
        _loaded(model, device, look, words, phrases).segment,
        masklets=MaskletStore(masklets),
        features=FeatureStore(features),
        out=PredictionFolder(out, len(phrases)),
        fill=PredictionFolder(fill, len(phrases), label_offset) if fill else None,
        overlap=overlap,
        save_probabilities=probabilities,
    )


def _loaded(
    model: str, device: str, look: LookSettings, words: WordSettings, phrases: Phrases
) -> Words:
    from sam2vss_lib.isam2.words.segment import load_words
    from sam2vss_lib.validation import resolve_device

    return load_words(model, phrases, look, words, resolve_device(device))


@app.command("calibrate")
@with_settings(StageOptions, without=["workers", "ray"])
@with_settings(LookSettings)
@with_settings(WordSettings, without=["temperature"])
def calibrate(
    words: WordSettings,
    look: LookSettings,
    stage: StageOptions,
    masklets: _Masklets,
    features: Annotated[
        Path, typer.Option(help="Folder of features with labels; not that of `words segment`.")
    ],
    model: _Model = "demo",
    phrases: _Phrases = None,
    json_output: JsonOption = False,
) -> None:
    """Find the temperature of words on a few labelled clips (--max-clips)."""
    from sam2vss_lib.isam2.features import FeatureStore
    from sam2vss_lib.isam2.words.phrases import class_phrases
    from sam2vss_lib.masklets.store import MaskletStore

    check_folder(features)
    require_folders(masklets=masklets)
    dataset = stage.open()
    loaded = _loaded(model, stage.device, look, words, class_phrases(dataset.class_names, phrases))
    with clip_bar(dataset, "words") as tick:
        stores = MaskletStore(masklets), FeatureStore(features)
        found = loaded.temperature(dataset, *stores, progress=tick)
    text = f"--temperature {found}, on {len(dataset)} clips"
    print_result({"temperature": found, "clips": len(dataset)}, json_output, text)
