"""The failure atlas to read: its numbers as a table and in words."""

from typing import Any

import pandas as pd

from sam2vss_lib.study.analyses.failure_atlas.atlas import LABELLED, PUT_RIGHT, UNCOVERED, Atlas
from sam2vss_lib.study.analyses.failure_atlas.causes import CAUSES
from sam2vss_lib.study.stages import Study

_COLUMNS = ["Cause", "Pixels", "Of the loss (%)", "Fragments", "Clips", "Most in", "Meaning"]
_OTHERS = {
    PUT_RIGHT: "The benefit, to compare: pixels that were wrong and are right.",
    UNCOVERED: "No loss, but no gain either: pixels that were wrong and are under no masklet.",
}


def atlas_table(atlas: Atlas | None) -> pd.DataFrame:
    """What each cause costs, the most expensive first; then what is no loss."""
    lines: list[dict[str, str]] = []
    for cause in [*atlas.causes, *_OTHERS] if atlas else ():
        assert atlas is not None
        counts: Any = atlas.counts[(atlas.counts["cause"] == cause) & (atlas.counts["pixels"] > 0)]
        worst = counts.sort_values("pixels", ascending=False, kind="stable")["clip"].tolist()
        harm = cause in CAUSES
        lines.append(
            {
                "Cause": cause,
                "Pixels": f"{atlas.pixels(cause):,}",
                "Of the loss (%)": f"{_share(atlas, cause):.1f}" if atlas.harmed else "–",
                "Fragments": f"{counts['fragments'].sum():,}" if harm else "–",
                "Clips": str(len(worst)),
                "Most in": worst[0] if worst else "–",
                "Meaning": (CAUSES | _OTHERS)[cause],
            }
        )
    return pd.DataFrame(lines, columns=_COLUMNS)


def fragments_table(study: Study, atlas: Atlas | None) -> pd.DataFrame:
    """The largest fragments of each cause, no two of one masklet: where they are, and as what.

    Columns: `cause`, `clip`, `frame` (its name), `window`, `masklet` (in its window), `pixels`,
    `x`, `y`, `width`, `height` of its box in pixels, `right` and `painted` (names of classes).
    """
    columns = ["cause", "clip", "frame", "window", "masklet", "pixels"]
    columns += ["x", "y", "width", "height", "right", "painted"]
    if atlas is None:
        return pd.DataFrame(columns=columns)
    table = atlas.fragments.copy()
    places = zip(table["clip"], table["frame"], strict=True)
    table["frame"] = [study.dataset.clip(clip).frames[index] for clip, index in places]
    for labels in ("right", "painted"):
        table[labels] = [study.class_names[label] for label in table[labels]]
    return table.reindex(columns=columns)


def _share(atlas: Atlas, what: str) -> float:
    """Pixels in percent of the loss."""
    return 100 * atlas.pixels(what) / atlas.harmed


def atlas_reading(atlas: Atlas | None) -> str:
    """In words: loss and gain in pixels, and the causes of most of the loss."""
    if atlas is None or not (labelled := atlas.pixels(LABELLED)):
        return ""
    right, harmed, bare = (
        f"{100 * pixels / labelled:.2f} %"
        for pixels in (atlas.pixels(PUT_RIGHT), atlas.harmed, atlas.pixels(UNCOVERED))
    )
    named = ", ".join(f"{cause} ({_share(atlas, cause):.0f} %)" for cause in atlas.causes[:3])
    return (
        f"{atlas.refined.label} puts {right} of the pixels right and spoils {harmed}"
        f"{f', mostly by {named} of the loss' if named else ''}; {bare} are wrong and under no "
        "masklet."
    )
