"""Colours that all pictures share: of marks, of classes and of masklets."""

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.labels import MAX_CLASSES, class_palette

#: Okabe-Ito colours, safe for colour-blind readers
BETTER, WORSE, NEUTRAL = "#0072B2", "#D55E00", "#999999"
#: of things without an order
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
INK, ORANGE, YELLOW, PURPLE = "#333333", "#E69F00", "#F0E442", "#CC79A7"


def rgb(colour: str) -> NDArray[np.uint8]:
    """A colour such as "#0072B2" as (3,) uint8.

    Example:
        >>> rgb("#0072B2").tolist()
        [0, 114, 178]
    """
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)


def label_colours(num_classes: int) -> NDArray[np.uint8]:
    """Colours of all 256 labels, (256, 3) uint8; those that are no class, such as void, are black.

    Raises:
        SettingsError: `num_classes` cannot be used.
    """
    table = np.zeros((256, 3), np.uint8)
    table[:num_classes] = class_palette(num_classes)
    return table


def masklet_colours(ids: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Colours of masklets by their numbers, (n,) of any integers to (n, 3) uint8.

    A masklet's colour depends on its number alone, and those of following numbers differ most; they
    repeat after 254, of which some 40 can be told apart by themselves.
    """
    return class_palette(MAX_CLASSES)[np.asarray(ids) % MAX_CLASSES]
