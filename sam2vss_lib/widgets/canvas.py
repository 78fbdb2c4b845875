"""The canvas in the browser: it shows pictures that it is sent, and says what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
from traitlets import Dict, Float, Int, List, Unicode

_HERE = Path(__file__).parent


class Canvas(anywidget.AnyWidget):
    """A frame player with layers, swipe and timeline; `canvas.js` draws it.

    Attributes:
        frame: index of the frame that is asked for.
        frames: how many there are.
        layers: from below, each with `name`, `title` and `opacity` in 0..1.
        pictures: `frame`, `size` (height, width), and for both sides of the swipe, `left` and
            `right`, encoded pictures by layer; of `right` only while it is seen.
        swipe: share of the width that shows the left side.
        names: what the two sides are.
        pixel: column and row of the pixel that was picked, or nothing.
        hover: the same of the pixel under the pointer.
        info: HTML about the picked pixel.
        hint: text about the pixel under the pointer.
        curves: numbers by frame for the timeline, None where they are not known.
        status: what is being computed.
    """

    _esm = _HERE / "canvas.js"
    _css = _HERE / "canvas.css"

    frame: Any = Int(0).tag(sync=True)
    frames: Any = Int(1).tag(sync=True)
    layers: Any = List(Dict()).tag(sync=True)
    pictures: Any = Dict().tag(sync=True)
    swipe: Any = Float(1.0).tag(sync=True)
    names: Any = List(Unicode()).tag(sync=True)
    pixel: Any = List(Int()).tag(sync=True)
    hover: Any = List(Int()).tag(sync=True)
    info: Any = Unicode().tag(sync=True)
    hint: Any = Unicode().tag(sync=True)
    curves: Any = Dict().tag(sync=True)
    status: Any = Unicode().tag(sync=True)
