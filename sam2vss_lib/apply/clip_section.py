"""The part of the page about one clip: films, when and where it changed, and which classes."""

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

from sam2vss_lib.apply.charts import balance, timeline
from sam2vss_lib.apply.films import CHANGES, MASKLETS, MASKLETS_PICTURE, PREVIEW, picture_name
from sam2vss_lib.apply.markup import Words, address, share, table

_CLASSES, _MOVES = 12, 5  # rows of tables at most
_LEGEND = {
    "better": "now right",
    "worse": "was right before",
    "other": "wrong before and after, or void",
    "changed": "changed, without ground truth",
}


def clip_section(counted: dict[str, Any], number: int, words: Words, window: int) -> Iterator[str]:
    """A section in HTML, of counts as `make_films` gives them; `window` is that of the masklets."""
    name, frames, pixels = counted["clip"], counted["frames"], counted["pixels"]
    of_frame = pixels / len(frames)
    stems, changed = counted["names"], [frame["changed"] for frame in frames]
    most = int(np.argmax(changed))
    title = escape(name)
    yield f'<section aria-labelledby="clip-{number}"><h2 id="clip-{number}">{title}</h2>'
    yield (
        f"<p>{share(sum(changed), pixels)} of the pixels of {len(frames)} frames were changed, "
        f"most on frame {escape(stems[most])} ({share(changed[most], of_frame)}).</p>"
    )
    pictures = counted["pictures"]
    poster = address("films", name, picture_name(pictures[0]))
    film, preview, masklets, still = (
        address("films", name, file) for file in (CHANGES, PREVIEW, MASKLETS, MASKLETS_PICTURE)
    )
    what = f"film of {title}: frame, base prediction, refined, and changed pixels"
    yield (
        f'<figure class="films"><video controls loop muted preload="none" poster="{poster}" '
        f'src="{film}" aria-label="{what}"></video><figcaption>Frame, base prediction, refined and '
        f'changed pixels, at {counted["fps"]:.4g} frames a second: <a href="{film}">{CHANGES}</a>, '
        f'or in small as <a href="{preview}">{PREVIEW}</a>.</figcaption></figure>'
    )
    yield "<h3>When it changed</h3>"
    yield from _when(counted, window, title)
    yield "<h3>Where it changed most</h3><div class='two'>"
    for stem in pictures:
        counts = frames[stems.index(stem)]
        said = f"Frame {escape(stem)}: {share(counts['changed'], of_frame)} of it changed"
        if counts.get("changed") and "better" in counts:
            right, wrong = (share(counts[key], counts["changed"]) for key in ("better", "worse"))
            said += f"; of that {right} is right now, {wrong} was right before"
        at = address("films", name, picture_name(stem))
        yield (
            f'<figure><a href="{at}"><img loading="lazy" src="{at}" alt="{said}: frame, base '
            f'prediction, refined and changed pixels"></a><figcaption>{said}.</figcaption></figure>'
        )
    yield "</div>"
    if sum(changed):
        yield from _classes(counted, words)
    yield (
        f'<h3>Masklets</h3><figure class="films half"><video controls loop muted preload="none" '
        f'poster="{still}" src="{masklets}" aria-label="film of {title}: masklets with their '
        f'numbers"></video>'
        f"<figcaption>What SAM2 has tracked, with numbers; they begin anew every {window} frames: "
        f'<a href="{masklets}">{MASKLETS}</a>.</figcaption></figure></section>'
    )


def _when(counted: dict[str, Any], window: int, title: str) -> Iterator[str]:
    """The timeline, and what its colours mean."""
    frames, of_frame = counted["frames"], counted["pixels"] / len(counted["frames"])
    series = {key: [0.0] * len(frames) for key in _LEGEND}
    for i, frame in enumerate(frames):
        if "better" in frame:
            for key in ("better", "worse"):
                series[key][i] = frame[key] / of_frame
            rest = frame["changed"] - frame["better"] - frame["worse"]
            series["other"][i] = rest / of_frame
        else:
            series["changed"][i] = frame["changed"] / of_frame
    used = {key: values for key, values in series.items() if any(values)}
    if not used:
        yield "<p>Nothing was changed.</p>"
        return
    said = f"share of changed pixels on each frame of {title}"
    yield f'<div class="scroll">{timeline(used, counted["names"], window, said)}</div>'
    items = (f'<li><span class="swatch {key}"></span>{_LEGEND[key]}</li>' for key in used)
    yield (
        f'<ul class="legend">{"".join(items)}<li>Each bar: the share of changed pixels on a frame; '
        "dotted lines: where windows of masklets begin</li></ul>"
    )


def _classes(counted: dict[str, Any], words: Words) -> Iterator[str]:
    """Which classes gained and lost pixels, and to which others."""
    pixels = counted["pixels"]
    moved = sorted((move for move in counted["moves"] if move[0] != move[1]), key=lambda m: -m[2])
    gained, lost, before = dict[int, int](), dict[int, int](), dict[int, int]()
    for old, new, count in counted["moves"]:
        before[old] = before.get(old, 0) + count
        if old != new:
            lost[old] = lost.get(old, 0) + count
            gained[new] = gained.get(new, 0) + count
    touched = sorted({*gained, *lost}, key=lambda c: -gained.get(c, 0) - lost.get(c, 0))
    most = max((*gained.values(), *lost.values()))
    rows = [
        (
            words.label(label),
            share(old := before.get(label, 0), pixels),
            share(old + plus - minus, pixels),
            share(minus, pixels),
            balance(minus, plus, most),
            share(plus, pixels),
        )
        for label in touched[:_CLASSES]
        for plus, minus in [(gained.get(label, 0), lost.get(label, 0))]
    ]
    hidden = f", the {_CLASSES} most changed of {len(touched)}" if len(touched) > _CLASSES else ""
    yield "<h3>Which classes</h3><div class='two'>"
    head = ("class", "before", "after", "lost", "", "gained")
    yield table(f"Shares of all pixels of the clip{hidden}", head, rows)
    moves = (
        (f"{words.label(old)} → {words.label(new)}", share(count, pixels))
        for old, new, count in moved[:_MOVES]
    )
    yield table("The largest moves from class to class", ("from → to", "of all pixels"), moves)
    yield "</div>"
