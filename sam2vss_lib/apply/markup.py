"""Small pieces of the page: tables, shares, changes, links and swatches as HTML."""

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from sam2vss_lib.datasets.labels import VOID, class_palette


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells in HTML, each row of which is headed by its first cell."""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'
        for first, *others in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{columns}</tr>'
        f"</thead><tbody>{lines}</tbody></table></div>"
    )


def share(part: float, whole: float) -> str:
    """A share in percent, as exactly as it is of use."""
    percent = 100 * part / whole if whole else 0.0
    if percent == 0 or percent >= 99.5:
        return f"{percent:.0f}\N{NO-BREAK SPACE}%"
    shown = f"{percent:.2g}" if percent >= 0.01 else "< 0.01"
    return f"{shown}\N{NO-BREAK SPACE}%"


def before_after(before: float | None, after: float | None) -> tuple[str, str, str]:
    """Two values in percent and their difference, marked as better or worse where it shows."""
    first, second = ("–" if value is None else f"{value:.2f}" for value in (before, after))
    if before is None or after is None:
        return first, second, "–"
    change = after - before
    kind = "better" if change > 0 else "worse"
    mark = f'<span class="swatch {kind}"></span>' if abs(change) >= 0.005 else ""
    return first, second, f"{mark}{change:+.2f}"


def address(*parts: str) -> str:
    """A relative address of a file beside the page."""
    return escape("/".join(quote(part) for part in parts))


class Words:
    """Labels in words and colours.

    Args:
        class_names: of the labels from 0 on.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names, self._colours = class_names, class_palette(len(class_names))

    def label(self, label: int) -> str:
        """The name of a class, in HTML behind its colour; void has none."""
        name, colour = "unlabelled", "#000000"
        if label != VOID:
            name, colour = self._names[label], "#" + self._colours[label].tobytes().hex()
        return f'<span class="swatch" style="background:{colour}"></span>{escape(name)}'
