"""Which class each label of a model is, and how much of some footage it gets."""

from collections.abc import Callable

import numpy as np

from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.hugging_face.classes import ClassMap, map_classes
from sam2vss_lib.segmentors.hugging_face.loading import load_hugging_face


def label_shares(
    dataset: Dataset,
    model: str,
    device: str = "cpu",
    class_map: str | None = None,
    *,
    progress: Callable[[str], None] = lambda clip: None,
) -> dict[str, tuple[str | None, float]]:
    """The class (None: void) and the share of pixels, 0..1, of each label; the largest comes first.

    Args:
        dataset: the clips to look at, with a class list.
        model: `hf:NAME`.
        device: where the model runs.
        class_map: as of `map_classes`; labels may all be without a class here.
        progress: called with each clip's name when it is done.

    Raises:
        DataError: the model, map or a frame cannot be read.
        SettingsError: it is another model, or the data set has no class list.
    """
    kind, _, name = model.partition(":")
    if kind != "hf":
        raise SettingsError(f"model {model}: has the data set's own classes; give hf:NAME")
    if dataset.class_names is None:
        raise SettingsError(f"the data set {dataset.root} has no class list; write classes.json")
    segmentor = load_hugging_face(name, device)
    labels = segmentor.classes.labels
    classes: ClassMap = map_classes(labels, dataset.class_names, class_map, allow_none=True)
    pixels = np.zeros(len(labels), dtype=np.int64)
    for clip in dataset:
        frames = (clip.frame(i) for i in range(clip.num_frames))
        for found in segmentor.own_labels(frames):
            pixels += np.bincount(found.labels.cpu().numpy().ravel(), minlength=len(labels))
        progress(clip.name)
    shares = pixels / pixels.sum()
    named = classes.named()
    order = np.argsort(-shares, kind="stable")
    return {labels[i]: (named[labels[i]], float(shares[i])) for i in order}
