"""A model of `transformers` over a clip: its own processor before it and after it.

The processor decides to which size frames go and how they are normalised, and makes the label of
every pixel, at the frame's size, from what the network says.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from sam2vss_lib.datasets.labels import VOID
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.base import Prediction, Segmentor, batches
from sam2vss_lib.segmentors.hugging_face.classes import ClassMap, map_classes, own_classes

#: what post-processing reads of a network's output: logits of classes, or of queries and masks
_LOGITS, _QUERIES, _MASKS = "logits", "class_queries_logits", "masks_queries_logits"
_STRIDE_PX = 4  # of probabilities, as the networks' own maps mostly have it

_Image = NDArray[np.uint8]


class Found(NamedTuple):
    """What the model says of a frame, in its own labels."""

    labels: Tensor  # (H, W) integers 0..M-1
    probabilities: Tensor | None  # (M, ceil(H / 4), ceil(W / 4)) float32, or None if not wanted


@dataclass(frozen=True)
class HuggingFaceSegmentor(Segmentor):
    """A model of single images ready to use."""

    processor: Any  # of images or videos
    classes: ClassMap  # the classes that its labels are
    inputs: Mapping[str, Tensor]  # what the network reads besides the frame: a row, the same always

    @property
    def unmapped(self) -> tuple[str, ...]:
        """See `Segmentor.unmapped`."""
        return self.classes.unmapped

    def for_classes(self, names: Sequence[str] | None, class_map: str | None = None) -> Self:
        """The model with the classes of a data set; see `Segmentor.for_classes`.

        Without a class list its labels stay as they are.

        Raises:
            DataError: the map cannot be read, or is for other classes.
            SettingsError: no label is a class, or there is a map and no class list.
        """
        labels = self.classes.labels
        if names is not None:
            classes = map_classes(labels, names, class_map)
        elif class_map is None:
            classes = own_classes(labels)
        else:
            raise SettingsError(
                f"--classes {class_map}: the data set has no class list to map to; write its "
                "classes.json"
            )
        made_with = {**self.made_with, "classes_sha256": classes.sha256}
        count = len(classes.names)
        return replace(self, classes=classes, num_classes=count, made_with=made_with)

    def predict_clip(
        self, frames: Iterable[_Image], *, with_probabilities: bool = False
    ) -> Iterator[Prediction]:
        """Segment the frames of a clip; see `Segmentor.predict_clip`.

        Yields:
            Labels (H, W) uint8, void where the best label is no class, and probabilities
            (C, ceil(H / 4), ceil(W / 4)) float16, sums over the labels of a class. They add up to 1
            less what labels without a class have.
        """
        table = torch.from_numpy(self.classes.table).to(self.device)
        mapped = table != VOID
        for labels, found in self.own_labels(frames, with_probabilities=with_probabilities):
            probabilities = None
            if found is not None:
                sums = found.new_zeros(self.num_classes, *found.shape[1:])
                sums.index_add_(0, table[mapped].long(), found[mapped])
                probabilities = sums.clamp_(0, 1).half()
            yield Prediction(table[labels], probabilities)

    def own_labels(
        self, frames: Iterable[_Image], *, with_probabilities: bool = False
    ) -> Iterator[Found]:
        """What the model says of the frames of a clip, whatever the data set's classes are."""
        # a frame that is cut into pieces is a batch by itself
        in_pieces = getattr(self.processor, "do_split_image", False)
        for batch in batches(frames, 1 if in_pieces else self.options.batch_frames):
            output = self._run(batch)
            for i, frame in enumerate(batch):
                of_frame = slice(None) if in_pieces else slice(i, i + 1)
                yield self._found(output, of_frame, frame, with_probabilities)

    @torch.inference_mode()
    def _run(self, batch: Sequence[_Image]) -> Any:
        """The network's output on a batch of frames."""
        rows = {name: value.expand(len(batch), -1) for name, value in self.inputs.items()}
        read = self._read(batch, images=list(batch))
        with self.options.autocast(self.device):
            return self.network(**{**read, **rows})

    def _read(self, frames: Sequence[_Image], **given: Any) -> dict[str, Any]:
        """What the processor makes of frames, given as it wants them, on the network's device."""
        for frame in frames:
            if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
                raise SettingsError(f"a frame is {frame.dtype} {frame.shape}, not uint8 (H, W, 3)")
        read = self.processor(**given, return_tensors="pt", input_data_format="channels_last")
        return {k: v.to(self.device) if isinstance(v, Tensor) else v for k, v in read.items()}

    @torch.inference_mode()
    def _found(self, output: Any, part: slice, frame: _Image, with_probabilities: bool) -> Found:
        """Post-process what the network says of one frame.

        One at a time: maps of all labels at the frame's size are larger than all else.
        """
        given = {k: output[k][part].float() for k in (_LOGITS, _QUERIES, _MASKS) if k in output}
        sizes = [frame.shape[:2]]
        if getattr(self.processor, "do_pad", False) and hasattr(self.processor, "unpad_image"):
            given[_MASKS] = self._without_padding(given[_MASKS], sizes)
        one = SimpleNamespace(patch_offsets=output.get("patch_offsets"), **given)
        process = self.processor.post_process_semantic_segmentation
        if not with_probabilities:
            return Found(process(one, target_sizes=sizes)[0], None)
        (found,) = process(one, target_sizes=sizes, return_segmentation_scores=True)
        scores: Tensor = found.segmentation_scores
        tiny = torch.finfo(scores.dtype).tiny  # where no query has a mask
        shares = scores.softmax(0) if _LOGITS in given else scores / scores.sum(0).clamp(min=tiny)
        height, width = (-(-side // _STRIDE_PX) for side in shares.shape[1:])
        return Found(found.segmentation, F.adaptive_avg_pool2d(shares, (height, width)))

    def _without_padding(self, masks: Tensor, sizes: list[Any]) -> Tensor:
        """EoMT's masks (1, Q, h, w) of a padded frame, cut to the frame.

        Its processor does so for panoptic labels and, in transformers 5.23, not for semantic ones,
        which would be squeezed to one side.
        """
        height, width = self.processor.size["shortest_edge"], self.processor.size["longest_edge"]
        padded = F.interpolate(masks, size=(height, width or height), mode="bilinear")
        return self.processor.unpad_image(padded, sizes, self.processor.size)[0][None]


class VideomtSegmentor(HuggingFaceSegmentor):
    """VidEoMT, whose queries on a frame follow from those on the frame before it."""

    def own_labels(
        self, frames: Iterable[_Image], *, with_probabilities: bool = False
    ) -> Iterator[Found]:
        """What the model says of the frames of a clip, one after the other."""
        queries: Tensor = self.network.query.weight
        for frame in frames:
            output, queries = self._step(frame, queries)
            yield self._found(output, slice(None), frame, with_probabilities)

    @torch.inference_mode()
    def _step(self, frame: _Image, queries: Tensor) -> tuple[Any, Tensor]:
        """The network's output on a frame, and the queries (Q, D) of the next one.

        `transformers` reads whole clips only, and keeps every frame of them. Its network is given
        one frame at a time here, with the queries that it would have come to in place of its own.
        """
        network, read = self.network, self._read([frame], videos=[frame[None]])
        own: Tensor = network.query.weight
        with self.options.autocast(self.device), recorded(network.layers[-1]) as hidden:
            output = functional_call(network, {"query.weight": queries}, (), read)
            return output, network.query_updater(hidden[-1][0, : len(own)]) + own


@contextmanager
def recorded(module: nn.Module) -> Generator[list[Any]]:
    """The outputs of a part of a network, one a call."""
    outputs = list[Any]()

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs.append(output)

    handle = module.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()
