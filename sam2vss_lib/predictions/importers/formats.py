"""The formats of predictions that can be read."""

FORMATS: dict[str, str] = {
    "index": "<clip>/<frame>.png, grey or palette, the value is the class",
    "panoptic-json": "pan_pred/<clip>/<frame>.png in RGB-coded ids and pred.json (DVIS, CAVIS)",
    "vipseg": "<clip>/<frame>.png, 16-bit, class or 100 * class + instance, 0 is void",
    "mmseg-pkl": "a .pkl file with one label array a frame, in the order of the split",
}
"""The formats that can be read, and what they look like."""
