"""Charts of the page, as SVG inside it: its style sheet gives them their colours."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 960, 190, 46, 22, 8
_MOST_BARS = 480  # of a longer clip, neighbours are averaged


def timeline(
    series: Mapping[str, Sequence[float]], names: Sequence[str], window: int, title: str
) -> str:
    """Stacked bars of shares in 0..1 of every frame, with lines where windows of masklets begin.

    The keys of the series are the classes of their bars in the style sheet; they are stacked from
    the first on. `names` are those of the frames.
    """
    frames = len(names)
    per_bar = -(-frames // _MOST_BARS)
    values = np.array([_averaged(np.asarray(one, float), per_bar) for one in series.values()])
    top = _round_up(float(values.sum(0).max()))
    across, down = _WIDTH - _LEFT - 4, _HEIGHT - _TOP - _BOTTOM
    step = across * per_bar / frames

    def y(value: float) -> str:
        return f"{_TOP + down * (1 - value / top):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"><title>{escape(title)}</title>']
    for share in (0, top / 2, top):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(share)}H{_WIDTH - 4}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(share)}" class="y">{100 * share:.3g} %</text>')
    for start in range(window, frames, window) if frames / window < 60 else ():
        x = _LEFT + across * start / frames
        parts.append(f'<path class="window" d="M{x:.1f} {_TOP}V{_TOP + down}"/>')
    floor = np.zeros(values.shape[1])
    for name, row in zip(series, values, strict=True):
        bars = "".join(
            f"M{_LEFT + step * i:.2f} {y(low)}V{y(low + high)}h{step * 0.92:.2f}V{y(low)}z"
            for i, (low, high) in enumerate(zip(floor, row, strict=True))
            if high > 0
        )
        parts.append(f'<path class="{name}" d="{bars}"/>')
        floor += row
    for i in sorted({0, frames // 4, frames // 2, 3 * frames // 4, frames - 1}):
        x, anchor = _LEFT + across * (i + 0.5) / frames, "start" if i == 0 else "middle"
        anchor = "end" if i == frames - 1 and i else anchor
        place = f'x="{x:.0f}" y="{_HEIGHT - 6}" text-anchor="{anchor}"'
        parts.append(f"<text {place}>{escape(names[i])}</text>")
    return "".join((*parts, "</svg>"))


def balance(lost: float, gained: float, most: float) -> str:
    """What a class lost, to the left, and gained, to the right, of the largest of all; no words."""
    left, right = (46 * value / most for value in (lost, gained))
    return (
        '<svg class="balance" viewBox="0 0 100 10" aria-hidden="true">'
        f'<rect class="lost" x="{50 - left:.1f}" width="{left:.1f}" y="1" height="8"/>'
        f'<rect class="gained" x="50" width="{right:.1f}" y="1" height="8"/>'
        '<path class="grid" d="M50 0V10"/></svg>'
    )


def _averaged(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    starts = np.arange(0, len(values), count)
    sizes = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(values, starts) / sizes


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... percent or parts of it."""
    if value <= 0:
        return 0.01
    power = 10 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999))
