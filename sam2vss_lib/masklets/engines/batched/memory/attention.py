"""Attention of sam2's own modules, arranged so that what objects share is computed once.

Everywhere a leading size of 1 stands for "the same for all objects" and broadcasts. Nothing is
approximated: the formulas of the modules are kept, only the order of products changes.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from sam2.modeling.sam.transformer import RoPEAttention
from torch import Tensor

_SCORES = 300_000  # attention weights worked on at a time by a CPU: about a MB
_BLOCK = 8  # objects per product of few rows on a CPU


def tokens_to_tokens(layer: Any, tokens: Tensor, prompt: Tensor) -> Tensor:
    """Self-attention and first norm of a sam2 `TwoWayAttentionBlock`: (n, t, C) to the same."""
    if layer.skip_first_layer_pe:
        return layer.norm1(layer.self_attn(tokens, tokens, tokens))
    with_codes = tokens + prompt
    return layer.norm1(tokens + layer.self_attn(with_codes, with_codes, tokens))


def tokens_to_image(attention: Any, tokens: Tensor, image_k: Tensor, image_v: Tensor) -> Tensor:
    """Let few tokens attend to many pixels, moving the tokens into pixel space, not vice versa.

    A query's product with the keys' bias is the same for all keys, which a softmax ignores. Of a
    sam2 `Attention`, tokens are (b, t, C) queries, b being 1 or n, and keys and values are
    projected from `image_k` and `image_v`, (n, p, C).

    Returns:
        (n, t, C), without the residual.
    """
    heads, scale, n = attention.num_heads, _scale(attention), len(image_k)
    t = tokens.shape[1]
    q = _heads_of(attention.q_proj(tokens) * scale, heads)
    folded = _per_head(q, attention.k_proj.weight.unflatten(0, (heads, -1))).expand(n, -1, -1)
    mixed = torch.softmax(folded @ image_k.transpose(1, 2), -1) @ image_v
    v_weight = attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)
    out = _per_head(mixed.unflatten(1, (heads, t)), v_weight).unflatten(1, (heads, t))
    return attention.out_proj(out.transpose(1, 2).flatten(2) + attention.v_proj.bias)


def image_to_tokens(
    attention: Any, image: Tensor, image_q: Tensor, tokens_k: Tensor, tokens_v: Tensor
) -> Tensor:
    """Let many pixels attend to few tokens, moving the tokens into pixel space.

    Of a sam2 `Attention`, queries are projected from `image_q`, (n, p, C), keys and values from
    `tokens_k` and `tokens_v`, (n, t, C); the outcome is added to `image`, the residual, (n, p, C).
    """
    heads, scale, t = attention.num_heads, _scale(attention), tokens_k.shape[1]
    k = _heads_of(attention.k_proj(tokens_k) * scale, heads)
    v = _heads_of(attention.v_proj(tokens_v), heads)
    folded_k = _per_head(k, attention.q_proj.weight.unflatten(0, (heads, -1)))
    bias = (k * attention.q_proj.bias.view(heads, 1, -1)).sum(-1).flatten(1)[:, :, None]
    scores = torch.baddbmm(bias, folded_k, image_q.transpose(1, 2))  # (n, heads * t, p)
    # over the second of three: a softmax over few, innermost numbers is many times slower
    weights = torch.softmax(scores.unflatten(1, (heads, t)), 2).flatten(1, 2)
    out_weight = attention.out_proj.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)
    folded_v = _per_head(v, out_weight)  # (n, heads * t, C)
    return torch.baddbmm(image + attention.out_proj.bias, weights.transpose(1, 2), folded_v)


def attend(attention: Any, q: Tensor, k: Tensor, values: Tensor) -> Tensor:
    """Softmax attention of projected and rotated tokens, with the projections of values and output.

    Of a sam2 `Attention`, q is (b, p, I), b being 1 or n, k is (n, m, I), and values are projected
    from (n, m, V).

    Returns:
        (n, p, C), without the residual.
    """
    narrow = attention.num_heads == 1 and values.shape[2] < q.shape[2]
    if narrow and q.device.type == "cpu":
        return _attend_narrow(attention, q, k, values)
    q, k, v = (_heads_of(x, attention.num_heads) for x in (q, k, attention.v_proj(values)))
    out = F.scaled_dot_product_attention(q.expand(len(k), -1, -1, -1), k, v)
    return attention.out_proj(out.transpose(1, 2).flatten(2))


def _attend_narrow(attention: Any, q: Tensor, k: Tensor, values: Tensor) -> Tensor:
    """`attend`, mixing values before their projection: a mean of projections is that of the mean.

    Memories have a quarter of the width of keys. PyTorch's fused kernel for CPUs wants both of one
    width, so the scores are spelled out, a tile that stays in a core's cache at a time.
    """
    q = (q * _scale(attention)).expand(len(k), -1, -1)
    mixed = values.new_empty(*q.shape[:2], values.shape[2])
    for tile in _tiles(len(q), q.shape[1], k.shape[1]):
        objects, _ = tile
        scores = torch.bmm(q[tile], k[objects].transpose(1, 2)).float()
        weights = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        mixed[tile] = torch.bmm(weights, values[objects]) / weights.sum(-1, keepdim=True)
    return attention.out_proj(attention.v_proj(mixed))


def _tiles(objects: int, queries: int, keys: int) -> Iterator[tuple[slice, slice]]:
    """Which objects and queries are worked on at a time: some whole objects, or a part of one.

    An object of more than `_SCORES` scores is cut into even parts, of at least a query each.

    >>> [(some.stop - some.start, part.stop) for some, part in _tiles(6, 100, 1_000)]
    [(3, 100), (3, 100)]
    >>> [(some.stop - some.start, part.stop) for some, part in _tiles(1, 100, 8_000)]
    [(1, 34), (1, 68), (1, 102)]
    """
    together = max(1, _SCORES // (queries * keys))
    parts = min(queries, math.ceil(queries * keys / _SCORES))
    length = math.ceil(queries / parts)
    for first in range(0, objects, together):
        for begin in range(0, queries, length):
            yield slice(first, first + together), slice(begin, begin + length)


def rotate(attention: Any, x: Tensor, count: int) -> Tensor:
    """Rotate tokens by their place in the image, as sam2's `RoPEAttention` does.

    An attention without rotary codes leaves its tokens as they are. They are freshly projected
    queries or keys, (b, m, I), which may be overwritten; `count` of them, the first ones, are
    pixels: a multiple of the attention's codes.
    """
    if not isinstance(attention, RoPEAttention):
        return x
    codes: Any = attention.freqs_cis  # (p, d / 2) complex
    pixels = x[:, :count].float()  # a view, unless under autocast
    pairs = pixels.unflatten(2, (attention.num_heads, -1, 2))
    torch.view_as_complex(pairs).unflatten(1, (-1, len(codes))).mul_(codes[:, None])
    if pixels.dtype != x.dtype:
        x[:, :count] = pixels
    return x


def fit_rotary_codes(attention: Any, side: int, device: torch.device) -> None:
    """Give a `RoPEAttention` its table for (side, side) features, as its first call would."""
    if isinstance(attention, RoPEAttention):
        if len(attention.freqs_cis) != side * side:
            attention.freqs_cis = attention.compute_cis(end_x=side, end_y=side)
        attention.freqs_cis = attention.freqs_cis.to(device)


def in_blocks(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer to (n, ..., C) in which an object has few rows, a fixed number at a time.

    A CPU's product of few rows, or convolution of few images, takes another order of sums for
    another number of them. With this, an object's numbers were bitwise equal in batches of 1 to 33
    of the demo model, in any company.
    """
    if x.device.type != "cpu":
        return layer(x)
    padding = (0, 0) * (x.ndim - 1) + (0, -len(x) % _BLOCK)
    return torch.cat([layer(block) for block in F.pad(x, padding).split(_BLOCK)])[: len(x)]


def _heads_of(x: Tensor, heads: int) -> Tensor:
    """(b, t, I) to (b, heads, t, d)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _per_head(x: Tensor, weight: Tensor) -> Tensor:
    """(n, heads, t, d) times each head's (d, e) of a weight: (n, heads * t, e)."""
    rows = x.transpose(0, 1).flatten(1, 2)  # all objects in one product per head
    return torch.bmm(rows, weight).unflatten(1, (len(x), -1)).transpose(0, 1).flatten(1, 2)


def _scale(attention: Any) -> float:
    return (attention.internal_dim // attention.num_heads) ** -0.5
