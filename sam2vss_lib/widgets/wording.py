"""What the explorer says in words, as HTML: a pixel's facts, metrics before and after, a legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise

from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.fusion.rules.adaptive import MARGIN
from sam2vss_lib.views.layers import NO_MASKLET
from sam2vss_lib.views.palette import label_colours
from sam2vss_lib.widgets.data import ExplorerData
from sam2vss_lib.widgets.pixels import Counts, PixelFacts

#: why labels in the explorer can differ from those of `refine`
NO_GATE = (
    "The gate decides on whole clips and is not applied here: refine keeps the base model's labels "
    "of a clip whose masklets deserve no trust."
)
_MOST = 4  # classes of a masklet or of a pixel's scores
LEGEND = "".join(
    f'<span><i class="swatch" style="background:var(--{colour})"></i>{text}</span>'
    for colour, text in (
        ("neutral", "base"),
        ("better", "refined: mIoU (line), mBIoU (dashed)"),
        ("changed", "changed pixels"),
        ("better", "new masklets (up)"),
        ("worse", "gone masklets (down)"),
    )
)


def class_name(data: ExplorerData, label: int) -> str:
    """A label in words."""
    return "void" if label == VOID else data.class_names[label]


def hint_text(data: ExplorerData, facts: PixelFacts) -> str:
    """A pixel in one line."""
    top = facts.candidates[0] if facts.candidates else None
    masklet = "no masklet" if top is None else f"masklet {top.masklet}"
    truth = "" if facts.truth is None else f", truth {class_name(data, facts.truth)}"
    weighed = "" if facts.evidence is None else f", evidence {[*facts.evidence.values()][-1]:+.1f}"
    return (
        f"({facts.x}, {facts.y}) {masklet}: {class_name(data, facts.base)} → "
        f"{class_name(data, facts.refined)}{truth}{weighed}"
    )


def pixel_html(data: ExplorerData, facts: PixelFacts, frame: int) -> str:
    """All facts about a pixel."""
    rows = [("base", facts.base), ("refined", facts.refined)]
    rows += [] if facts.truth is None else [("truth", facts.truth)]
    said = ", ".join(f"{name} {_named(data, label)}" for name, label in rows)
    parts = [f"<b>Pixel ({facts.x}, {facts.y})</b>: {said}"]
    if facts.candidates:
        lines = [
            (
                f"{c.masklet}{' (on top)' if i == 0 and c.label != VOID else ''}",
                _named(data, c.label),
                f"{c.predicted_iou:.2f} / {c.stability:.2f}",
                _votes(data, c.votes),
                _votes(data, c.window_votes),
            )
            for i, c in enumerate(facts.candidates)
        ]
        heads = ("masklet", "class", "IoU / stability", "votes here", "in the window")
        parts.append(_table(heads, lines))
    else:
        parts.append("<div>No chosen masklet covers it.</div>")
    if facts.scores is not None:
        best = list(facts.scores.items())[:_MOST]
        scores = ", ".join(f"{_named(data, label)} {score:.2f}" for label, score in best)
        parts.append(f"<div>class probabilities: {scores}</div>")
    if facts.evidence is not None:
        *terms, (steady, total) = facts.evidence.items()
        said = ", ".join(f"{name.replace('_', ' ')} {value:+.2f}" for name, value in terms)
        who = "the base model" if total > MARGIN else "the window vote"
        parts.append(
            f"<div>evidence for the base model, in nats: {said}; {steady} {total:+.2f}, margin "
            f"{MARGIN:g}: adaptive takes {who}'s label</div>"
        )
    if facts.history:
        parts += [_strip(data, facts, name, frame) for name in ("base", "refined")]
        tops = [m.masklet for m in facts.history if m.masklet != NO_MASKLET]
        changes = sum(a != b for a, b in pairwise(tops))
        first, last = facts.history[0].frame, facts.history[-1].frame
        parts.append(
            f"<div>frames {first} to {last}: masklets on top {len({*tops})}, changes between them "
            f"{changes}, frames without any {len(facts.history) - len(tops)}</div>"
        )
    return "".join(parts)


def metrics_html(
    names: Sequence[str], runs: Mapping[str, Mapping[str, float | None]], about: str
) -> str:
    """Metrics of one clip, a line a run; those that are not known yet are left empty."""
    lines = [
        (escape(label), *(_number(values, name) for name in names))
        for label, values in runs.items()
    ]
    table = _table(("clip's metrics (%)", *names), lines)
    return f'<div class="sam2vss-metrics">{table}<div>{escape(about)}</div></div>'


def _number(values: Mapping[str, float | None], name: str) -> str:
    """In cells: not known yet, not defined, or a number."""
    if name not in values:
        return "…"
    return "–" if values[name] is None else f"{values[name]:.2f}"


def _named(data: ExplorerData, label: int) -> str:
    red, green, blue = label_colours(data.num_classes)[label]
    swatch = f'<i class="swatch" style="background:rgb({red},{green},{blue})"></i>'
    return f"{swatch}{escape(class_name(data, label))}"


def _votes(data: ExplorerData, votes: Counts) -> str:
    most = list(votes.items())[:_MOST]
    rest = sum(votes.values()) - sum(count for _, count in most)
    said = [f"{_named(data, label)} {count}" for label, count in most]
    return "<br>".join([*said, *([f"others {rest}"] if rest else [])])


def _strip(data: ExplorerData, facts: PixelFacts, name: str, frame: int) -> str:
    """The pixel's classes through the window as a row of colours."""
    cells: list[str] = []
    for moment in facts.history:
        label = getattr(moment, name)
        red, green, blue = label_colours(data.num_classes)[label]
        title = escape(f"frame {moment.frame}: {class_name(data, label)}")
        now = ' class="now"' if moment.frame == frame else ""
        colour = f"background:rgb({red},{green},{blue})"
        cells.append(f'<i{now} style="{colour}" title="{title}"></i>')
    label = f"{name} through the window"
    strip = f'<div class="strip" role="img" aria-label="{label}">{"".join(cells)}</div>'
    return f"<div>{label}{strip}</div>"


def _table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
