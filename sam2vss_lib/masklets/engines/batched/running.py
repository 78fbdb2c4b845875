"""How the same computations are run: compiled, with channels innermost, by which attention kernels.

None of it leaves anything out; sums are taken in another order, so that last bits differ.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed

from sam2vss_lib.errors import RunError, first_line
from sam2vss_lib.masklets.approximations import Approximations
from sam2vss_lib.masklets.sam2 import Sam2Model

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


def model_to_run(model: Sam2Model, how: Approximations) -> Sam2Model:
    """The same model, to be run as the settings say; the one that is given stays as it is.

    A compiled encoder compiles when it is first used, for minutes at most, and then reads a frame
    at a time: a batch of any other size would be compiled anew. With channels innermost the encoder
    is a copy, of which the device holds two.

    Raises:
        RunError: when used, if there is no compiler.
        SettingsError: when used, if the device has not these attention kernels.
    """
    encoder: Any = model.predictor.image_encoder
    if how.channels_last:
        encoder = _ChannelsInnermost(encoder)
    if how.compile_encoder:
        encoder = _Compiled(encoder)
    if encoder is not model.predictor.image_encoder:
        predictor = copy.copy(model.predictor)
        predictor._modules = {**predictor._modules, "image_encoder": encoder}
        model = replace(model, predictor=predictor)
    return replace(model, attention_backend=how.attention_backend)


def as_it_is(function: Callable[P, R]) -> Callable[P, R]:
    """Where nothing is compiled."""
    return function


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A part of the step that runs for every frame, through `torch.compile`.

    It compiles anew for every number of objects, so those are to be of a few sizes, and when the
    number of memories first changes.

    Raises:
        RunError: when called, if there is no compiler.
    """
    run: Any = torch.compile(function)

    def guarded(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return run(*arguments, **named)
        except BackendCompilerFailed as error:
            raise _without_compiler(error, "compile_step") from None

    return guarded


def in_halves(run: Callable[[Tensor], R], rows: Tensor, what: str) -> Iterator[R]:
    """What runs on all rows together or, where memory lacks for that, on one half, then the other.

    Raises:
        RunError: it lacks for a single one of `what` the rows are.
    """
    try:
        found = run(rows)
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise RunError(
                f"device {rows.device}: too little memory for {what}; use a smaller model, or a "
                "device with more memory"
            ) from None
    else:
        yield found
        return
    # not while the error is handled, which keeps alive what has been computed
    _log.warning("out of memory: %d rows, of which one is %s, in halves", len(rows), what)
    for half in rows.chunk(2):
        yield from in_halves(run, half, what)


def fixed_size(count: int) -> int:
    """The size of batch that so many objects run in: a power of two, or 16, 32, 48 and so on."""
    return -(-count // 16) * 16 if count > 8 else 1 << (count - 1).bit_length()


def _without_compiler(error: BackendCompilerFailed, setting: str) -> RunError:
    cause = first_line(error.inner_exception)
    return RunError(f"torch.compile: {cause}; install a C++ compiler, or leave {setting} off")


class _ChannelsInnermost(nn.Module):
    """An image encoder whose convolutions have channels innermost in memory."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.neck = encoder.neck  # whose codes of place are asked for
        self.encoder: Any = copy.deepcopy(encoder).to(memory_format=torch.channels_last)

    def forward(self, batch: Tensor) -> dict[str, Any]:
        """Encode (n, 3, S, S) as the encoder does."""
        return self.encoder(batch.contiguous(memory_format=torch.channels_last))


class _Compiled(nn.Module):
    """An image encoder, a frame at a time."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.neck = encoder.neck
        self.encoder = encoder
        self._run = torch.compile(encoder, dynamic=False)

    def forward(self, batch: Tensor) -> dict[str, Any]:
        """Encode (n, 3, S, S) as the encoder does."""
        try:
            found = [self._run(frame) for frame in batch.split(1)]
        except BackendCompilerFailed as error:
            raise _without_compiler(error, "compile_encoder") from None
        return {key: _joined([one[key] for one in found]) for key in found[0]}


def _joined(parts: Sequence[Any]) -> Any:
    """Tensors, or lists of tensors, along their first dimension."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
