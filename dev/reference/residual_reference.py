"""An independent forward pass, to check the residual stream that `hsae collect` writes.

    residual_reference.py MODEL.gguf STORE [--q8_0] [--cosine-median C --cosine-worst C] [--relative R]

Reads the model's weights from its GGUF file (dequantised by PyPI's `gguf`), runs the contexts of the
store's corpus in NumPy (float64 sums by BLAS in float32 matrices), and compares the rows after the
store's block with what the store holds: norm x direction at (document, position). Shares no code with
hsae or llama.cpp. Architectures: gemma3, llama (SmolLM2). Prints one line of JSON; exits 1 if a bound
is not met.

With --q8_0, what enters a product with a weight is rounded to 8-bit integers first, 32 with a scale, as
ggml does with q8_0 weights, and the weights are rounded so too: then the rows of --weights q8_0 are to
agree, and how much they differ from those without --q8_0 is what this arithmetic costs.

The store must have been collected with --keep-special --holdout 0 on short text: all its contexts are
run. Directions are float16, which alone makes a relative error of about 2e-4.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, dequantize


class Model:
    """The weights and sizes of a GGUF model."""

    def __init__(self, path, rounds=False):
        self.rounds = rounds
        reader = GGUFReader(path)
        self.fields = {name: field.contents() for name, field in reader.fields.items()
                       if not name.startswith("tokenizer.ggml.")}
        self.architecture = self.fields["general.architecture"]
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        if self.architecture not in ("gemma3", "llama"):
            sys.exit(f"{path}: no reference for the architecture {self.architecture}")
        self.blocks = self.get("block_count")
        self.width = self.get("embedding_length")
        self.heads = self.get("attention.head_count")
        self.groups = self.get("attention.head_count_kv")
        self.epsilon = self.get("attention.layer_norm_rms_epsilon")
        self.head_width = self.get("attention.key_length", self.width // self.heads)

    def get(self, key, default=None):
        """A size of the model; the key without the architecture."""
        value = self.fields.get(f"{self.architecture}.{key}", default)
        if value is None:
            sys.exit(f"the model does not say its {key}")
        return value

    def weight(self, name, rows=None):
        """A tensor as float32; of a matrix, only the given rows."""
        tensor = self.tensors[name]
        data = tensor.data if rows is None else tensor.data[rows]
        weight = dequantize(np.ascontiguousarray(data), tensor.tensor_type).astype(np.float32)
        is_kept = weight.ndim < 2 or tensor.tensor_type == GGMLQuantizationType.Q8_0
        return weight if is_kept or not self.rounds else q8_0(weight)

    def product(self, x, weight):
        """x [tokens, in] times weight [out, in]."""
        return (q8_0(x) if self.rounds else x) @ weight.T


def q8_0(x):
    """x rounded to 8-bit integers, 32 with a float16 scale; halves away from zero."""
    blocks = x.reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(scale > 0, 1 / scale, 0).astype(np.float32)
    scaled = blocks * inverse
    rounded = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    return (rounded * scale.astype(np.float16).astype(np.float32)).reshape(x.shape)


def rms_norm(x, weight, epsilon):
    x = x.astype(np.float64)
    return (x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight).astype(np.float32)


def rotate(x, base, interleaved):
    """Rotary positions of x [tokens, heads, width]: pairs (2i, 2i + 1) or (i, i + width / 2)."""
    tokens, _, width = x.shape
    angle = np.arange(tokens)[:, None] * base ** (-np.arange(0, width, 2) / width)[None, :]
    cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
    first, second = (x[..., 0::2], x[..., 1::2]) if interleaved else np.split(x, 2, axis=-1)
    turned = first * cos - second * sin, first * sin + second * cos
    if interleaved:
        return np.stack(turned, axis=-1).reshape(x.shape).astype(np.float32)
    return np.concatenate(turned, axis=-1).astype(np.float32)


def attention(query, key, value, scale, window):
    """Causal attention of [tokens, heads, width]; keys and values are shared by groups of heads."""
    tokens, heads, _ = query.shape
    share = heads // key.shape[1]
    distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    hidden = (distance < 0) | ((distance >= window) if window else False)
    out = np.empty_like(query)
    for head in range(heads):
        scores = (query[:, head] @ key[:, head // share].T).astype(np.float64) * scale
        scores[hidden] = -np.inf
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        out[:, head] = scores.astype(np.float32) @ value[:, head // share]
    return out.reshape(tokens, -1)


def gelu(x):
    x = x.astype(np.float64)
    return (0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))).astype(np.float32)


def silu(x):
    x = x.astype(np.float64)
    return (x / (1 + np.exp(-x))).astype(np.float32)


def forward(model, contexts, block):
    """The residual stream after block `block` for each context: [tokens, width] arrays."""
    is_gemma = model.architecture == "gemma3"
    streams = [model.weight("token_embd.weight", rows=context) for context in contexts]
    if is_gemma:
        streams = [stream * np.float32(np.sqrt(model.width)) for stream in streams]
    for index in range(block + 1):
        weight = {
            name.split(".", 2)[2]: model.weight(name)
            for name in model.tensors if name.startswith(f"blk.{index}.")
        }
        base, window = model.get("rope.freq_base", 10000.0), 0
        # In Gemma 3 five of six blocks see only a window, with another base for positions.
        if is_gemma and (index + 1) % 6 != 0:
            base, window = 10000.0, model.get("attention.sliding_window")
        for place, x in enumerate(streams):
            tokens = len(x)
            h = rms_norm(x, weight["attn_norm.weight"], model.epsilon)
            query, key, value = (
                model.product(h, weight[f"attn_{kind}.weight"]).reshape(tokens, -1, model.head_width)
                for kind in "qkv")
            if is_gemma:
                query = rms_norm(query, weight["attn_q_norm.weight"], model.epsilon)
                key = rms_norm(key, weight["attn_k_norm.weight"], model.epsilon)
            query, key = (rotate(part, base, interleaved=not is_gemma) for part in (query, key))
            h = attention(query, key, value, model.head_width**-0.5, window)
            h = model.product(h, weight["attn_output.weight"])
            if is_gemma:
                h = rms_norm(h, weight["post_attention_norm.weight"], model.epsilon)
            x = x + h
            h = rms_norm(x, weight["ffn_norm.weight"], model.epsilon)
            gate, up = (model.product(h, weight[f"ffn_{kind}.weight"]) for kind in ("gate", "up"))
            h = model.product((gelu if is_gemma else silu)(gate) * up, weight["ffn_down.weight"])
            if is_gemma:
                h = rms_norm(h, weight["post_ffw_norm.weight"], model.epsilon)
            streams[place] = x + h
    return streams


def read(path):
    """A Zarr array of one or two dimensions, by hand: uncompressed, chunked along rows."""
    path = pathlib.Path(path)
    meta = json.loads((path / "zarr.json").read_text())
    shape, chunk = meta["shape"], meta["chunk_grid"]["configuration"]["chunk_shape"]
    parts = []
    for index in range(-(-shape[0] // chunk[0])):
        file = path / "c" / str(index) / ("0" if len(shape) == 2 else "")
        parts.append(np.fromfile(file, dtype=meta["data_type"]).reshape(chunk))
    return np.concatenate(parts)[: shape[0]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("store", type=pathlib.Path)
    parser.add_argument("--q8_0", action="store_true")
    parser.add_argument("--cosine-median", type=float)
    parser.add_argument("--cosine-worst", type=float)
    parser.add_argument("--relative", type=float)
    given = parser.parse_args()

    attributes = json.loads((given.store / "zarr.json").read_text())["attributes"]
    block, length = attributes["layer"], attributes["context_length"]
    tokens, offsets = read(given.store / "corpus/tokens"), read(given.store / "corpus/offsets")
    documents, positions = read(given.store / "documents"), read(given.store / "positions")
    rows = read(given.store / "directions").astype(np.float64)
    rows *= read(given.store / "norms").astype(np.float64)[:, None]

    starts, contexts = {}, []
    for document, (start, end) in enumerate(zip(offsets, offsets[1:])):
        for first in range(0, end - start, length):
            starts[document, first] = len(contexts)
            contexts.append(tokens[start + first : min(start + first + length, end)])
    expected = forward(Model(given.model, rounds=given.q8_0), contexts, block)
    wanted = np.stack([
        expected[starts[document, position - position % length]][position % length]
        for document, position in zip(documents, positions)
    ]).astype(np.float64)

    norm = np.linalg.norm
    cosine = (rows * wanted).sum(1) / norm(rows, axis=1) / norm(wanted, axis=1)
    # Every row has the same weight, because rows of special tokens are many times as long as others.
    relative = norm((rows - wanted) / norm(wanted, axis=1)[:, None]) / np.sqrt(len(rows))
    result = {
        "block": block, "weights": attributes["weights_type"], "rows": len(rows),
        "cosine_median": float(np.median(cosine)), "cosine_worst": float(cosine.min()),
        "relative_error": float(relative),
        "relative_worst": float((norm(rows - wanted, axis=1) / norm(wanted, axis=1)).max()),
    }
    met = (
        (given.cosine_median is None or result["cosine_median"] >= given.cosine_median)
        and (given.cosine_worst is None or result["cosine_worst"] >= given.cosine_worst)
        and (given.relative is None or result["relative_error"] <= given.relative))
    print(json.dumps({"met": bool(met), **result}))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
