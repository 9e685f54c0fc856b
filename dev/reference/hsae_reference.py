#!/usr/bin/env python3
"""An independent implementation of the method: the loss in NumPy, its gradients by automatic
differentiation, the training step in plain NumPy. It shares no code with the Swift program;
`check.sh` compares the two.

    hsae_reference.py make --out DIR           data with a planted hierarchy, and fresh weights
    hsae_reference.py step DATA.npy WEIGHTS.safetensors OUT.safetensors --k 4 ...
    hsae_reference.py compare A.safetensors B.safetensors --start WEIGHTS.safetensors
    hsae_reference.py losses OUT.json RUN/metrics.jsonl
    hsae_reference.py fixture --out FILE.json  the small cases the Swift tests read

Notation: B rows, d their width, m top-level latents (experts), s subspace, a sublatents, k active
experts. Tensors, row-major: W_enc W_dec [m, d], W_down W_up [m, s, d], sub_W_enc sub_W_dec
[m, a, s], b_dec [d] (optional).
"""

import argparse
import json
import math
import os
import sys

import autograd.numpy as np
import numpy
from autograd import value_and_grad
from autograd.tracer import getval

LEVELS = ("W_enc", "W_dec", "W_down", "W_up", "sub_W_enc", "sub_W_dec", "b_dec")
UNIT = ("W_dec", "sub_W_dec")


# Files.

TYPES = {"F64": numpy.float64, "F32": numpy.float32, "F16": numpy.float16}


def read_tensors(path):
    """The tensors of a safetensors file: 8 bytes of header length (little-endian), a JSON header,
    raw data."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = numpy.frombuffer(data[begin:end], dtype=TYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"]).astype(numpy.float64)
    return tensors


def write_tensors(path, tensors, dtype):
    """Writes `tensors` as `dtype` ("F64" or "F32"): beside, then renamed."""
    header, blobs, offset = {}, [], 0
    for name, value in tensors.items():
        blob = numpy.ascontiguousarray(value, dtype=TYPES[dtype]).tobytes()
        header[name] = {
            "dtype": dtype, "shape": list(value.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    os.replace(path + ".part", path)


def write_json(path, value):
    with open(path + ".part", "w") as file:
        json.dump(value, file, indent=0, ensure_ascii=False)
        file.write("\n")
    os.replace(path + ".part", path)


# The loss.

def activation(u, threshold, slope):
    """u at or above the threshold, else slope * u."""
    return u * np.where(getval(u) >= threshold, 1.0, slope).astype(getval(u).dtype)


def top_mask(values, count):
    """1 at the `count` largest of each row (the lowest index first among equals), else 0."""
    order = numpy.argsort(-values, axis=1, kind="stable")[:, :count]
    mask = numpy.zeros_like(values)
    numpy.put_along_axis(mask, order, 1.0, axis=1)
    return mask


def encode(w, x, o):
    """Pre-activations u [B, m], codes z, the mask of active experts, sublatent codes c [B, m, a],
    the mask of chosen sublatents, x_high and x_hat [B, d]."""
    b = w.get("b_dec")
    centred = x if b is None else x - b
    u = centred @ w["W_enc"].T
    z = activation(u, o.threshold, o.slope_top)
    values = getval(z)
    active = top_mask(values, o.k) * (values > 0)
    high = (z * active) @ w["W_dec"]
    if b is not None:
        high = high + b
    if "W_down" not in w:
        return u, z, active, None, None, high, high
    m, s, d = w["W_down"].shape
    rows = x.shape[0]
    # Every expert is computed for every row; the masks then keep what the method keeps.
    y = np.reshape(centred @ np.reshape(w["W_down"], (m * s, d)).T, (rows, m, s))
    before = np.matmul(np.transpose(y, (1, 0, 2)), np.transpose(w["sub_W_enc"], (0, 2, 1)))
    c = np.transpose(activation(before, o.threshold_sub, o.slope_sub), (1, 0, 2))
    first = numpy.argmax(getval(c), axis=2)
    chosen = numpy.zeros_like(getval(c))
    numpy.put_along_axis(chosen, first[:, :, None], 1.0, axis=2)
    chosen = chosen * active[:, :, None]
    inside = np.matmul(np.transpose(c * chosen, (1, 0, 2)), w["sub_W_dec"])
    low = np.reshape(np.transpose(inside, (1, 0, 2)), (rows, m * s)) @ np.reshape(
        w["W_up"], (m * s, d))
    return u, z, active, c, chosen, high, high + low


def orthogonality(w):
    """|| E D^T - diag ||_F / (m^2 - m), from the whole m x m matrix."""
    m = w["W_enc"].shape[0]
    if m == 1:
        return 0.0
    off = (w["W_enc"] @ w["W_dec"].T) * (1 - numpy.eye(m, dtype=getval(w["W_enc"]).dtype))
    total = np.sum(off**2)
    return np.sqrt(total) / (m * m - m) if getval(total) > 0 else 0.0


def rows_loss(w, x, o, l1, batch, dead, residual, variance, parts):
    """The weighted loss of some rows of a batch of `batch`, without orthogonality. `residual` and
    `variance` are AuxK's constants, or None. Adds each part, unweighted, to `parts`."""
    u, z, active, c, chosen, high, out = encode(w, x, o)
    reconstruction = np.sum((x - out) ** 2) / batch
    top = np.sum((x - high) ** 2) / batch
    paying = getval(u) >= o.threshold
    if o.l1_scope == "topk":
        paying = paying * (active > 0)
    l1_top = np.sum(np.abs(z) * paying) / batch
    l1_sub = 0.0 if c is None else np.sum(np.abs(c) * active[:, :, None]) / batch
    auxk = 0.0
    if residual is not None and variance > 0:
        candidates = numpy.maximum(getval(u), 0) * dead
        count = min(o.auxk_k, int(dead.sum()))
        used = top_mask(candidates, count) * (candidates > 0)
        auxk = np.sum((residual - (u * used) @ w["W_dec"]) ** 2) / batch / variance
    for name, value in (
        ("reconstruction", reconstruction), ("top", top), ("l1_top", l1_top), ("l1_sub", l1_sub),
        ("auxk", auxk),
    ):
        parts[name] = parts.get(name, 0.0) + float(getval(value))
    parts.setdefault("fired", numpy.zeros(active.shape[1], bool))
    parts["fired"] |= active.any(axis=0)
    return reconstruction + o.beta * top + l1 * (l1_top + l1_sub) + o.auxk * auxk


def loss_and_gradients(w, x, o, factor=1.0, dead=None, chunk=512):
    """The loss of batch `x`, its parts, and the gradient of every tensor; `factor` is the
    regularisers' warm-up."""
    batch = x.shape[0]
    residual, variance = None, 0.0
    if o.auxk and dead is not None and dead.any():
        residual = numpy.concatenate(
            [x[i:i + chunk] - encode(w, x[i:i + chunk], o)[-1] for i in range(0, batch, chunk)])
        variance = ((residual - residual.mean(axis=0)) ** 2).sum() / batch
    parts = {}
    gradients = {name: numpy.zeros_like(value) for name, value in w.items()}
    total = 0.0
    for i in range(0, batch, chunk):
        piece = slice(i, i + chunk)
        value, gradient = value_and_grad(rows_loss)(
            w, x[piece], o, o.l1 * factor, batch, dead,
            None if residual is None else residual[piece], variance, parts)
        total += float(value)
        for name in w:
            gradients[name] = gradients[name] + gradient[name]
    parts["ortho"] = float(orthogonality(w))
    if o.ortho * factor:
        value, gradient = value_and_grad(lambda v: o.ortho * factor * orthogonality(v))(w)
        total += float(value)
        for name in ("W_enc", "W_dec"):
            gradients[name] = gradients[name] + gradient[name]
    parts["l1"] = parts["l1_top"] + parts["l1_sub"]
    parts["loss"] = total
    return parts, gradients


# The step.

def learning_rate(step, o):
    """Step 0 is the first update. Linear from the start (0) to the peak (warm-up), then constant,
    or half a cosine to the floor at `steps`."""
    if step < o.warmup:
        return o.learning_rate_start + (o.learning_rate - o.learning_rate_start) * step / o.warmup
    if o.schedule == "constant":
        return o.learning_rate
    done = (step - o.warmup) / max(1, o.steps - o.warmup)
    low = o.learning_rate * o.learning_rate_floor
    return low + (o.learning_rate - low) * (1 + math.cos(math.pi * done)) / 2


def train(w, data, o, dtype=numpy.float64):
    """`o.steps` steps of `o.batch` rows in file order, wrapping around; the weights after them and a
    record of every step."""
    w = {name: value.astype(dtype) for name, value in w.items()}
    first = {name: numpy.zeros_like(value) for name, value in w.items()}
    second = {name: numpy.zeros_like(value) for name, value in w.items()}
    m = w["W_enc"].shape[0]
    silent = numpy.zeros(m, numpy.int64)  # Rows since each latent was last active.
    records = []
    for step in range(o.steps):
        x = data[(step * o.batch + numpy.arange(o.batch)) % len(data)].astype(dtype)
        rate = learning_rate(step, o)
        factor = min(1.0, step / o.regularizer_warmup) if o.regularizer_warmup else 1.0
        # Dead: not active for any of the last `dead_window` rows before this batch.
        dead = silent >= o.dead_window if o.dead is None else o.dead
        parts, g = loss_and_gradients(w, x, o, factor, dead.astype(dtype))
        silent = numpy.where(parts.pop("fired"), 0, silent + o.batch)
        for name in UNIT:
            if name in w:
                g[name] = g[name] - (g[name] * w[name]).sum(-1, keepdims=True) * w[name]
        norm = math.sqrt(sum(float((value.astype(float) ** 2).sum()) for value in g.values()))
        scale = o.clip / norm if o.clip and norm > o.clip else 1.0
        for name in w:
            slope = g[name] * dtype(scale)
            first[name] = dtype(0.9) * first[name] + dtype(0.1) * slope
            second[name] = dtype(0.999) * second[name] + dtype(0.001) * slope**2
            mean = first[name] / dtype(1 - 0.9 ** (step + 1))
            root = numpy.sqrt(second[name] / dtype(1 - 0.999 ** (step + 1)))
            w[name] = w[name] - dtype(rate) * mean / (root + dtype(1e-8))
        for name in UNIT:
            if name in w:
                w[name] = w[name] / numpy.sqrt((w[name] ** 2).sum(-1, keepdims=True))
        records.append({
            "step": step + 1, "tokens": (step + 1) * o.batch, **parts, "learning_rate": rate,
            "regularizer": factor, "gradientNorm": norm, "dead": int(dead.sum()),
        })
    return w, records


# Commands.

def unit(rows):
    return rows / numpy.sqrt((rows**2).sum(-1, keepdims=True))


def he_uniform(random, shape, fan_in):
    return random.uniform(-1, 1, shape) * math.sqrt(6 / fan_in)


def fresh_weights(random, m, a, s, d):
    """The initial values of the method's table."""
    w = {"W_enc": he_uniform(random, (m, d), d)}
    w["W_dec"] = unit(w["W_enc"])
    if s:
        w["W_down"] = unit(he_uniform(random, (m, s, d), d))
        w["W_up"] = w["W_down"].copy()
        w["sub_W_enc"] = unit(he_uniform(random, (m, a, s), s))
        w["sub_W_dec"] = w["sub_W_enc"].copy()
    return w


def planted_rows(random, n, m, a, s, d):
    """Unit rows: three parents each, every parent with one of its children (directions in a
    subspace of its own), and a little noise."""
    parents = unit(random.standard_normal((m, d)))
    axes = numpy.linalg.qr(random.standard_normal((m, d, max(1, s))))[0].transpose(0, 2, 1)
    children = unit(random.standard_normal((m, max(1, a), max(1, s)))) @ axes
    rows = 0.02 * random.standard_normal((n, d))
    for _ in range(3):
        parent = random.integers(0, m, n)
        child = random.integers(0, max(1, a), n)
        strength = random.uniform(0.5, 1.5, (n, 1))
        rows += strength * (parents[parent] + 0.5 * children[parent, child])
    return unit(rows)


def margins(w, x, o):
    """For each row, how far it is from the nearest place where a choice changes: a threshold, a
    zero, a tie of top-k or of argmax. Rows closer than the rounding of float32 would make a correct
    engine in float32 choose otherwise."""
    u, z, active, c, _, _, _ = encode(w, x, o)
    margin = numpy.abs(u - o.threshold).min(axis=1)
    ranked = -numpy.sort(-z, axis=1)
    if o.k < z.shape[1]:
        gap = ranked[:, o.k - 1] - ranked[:, o.k]
        margin = numpy.where(ranked[:, o.k - 1] > 0, numpy.minimum(margin, gap), margin)
    if c is not None:
        slope = o.slope_sub or 1.0
        off = numpy.where(active[:, :, None] > 0, c, numpy.nan)
        v = numpy.where(off >= o.threshold_sub, off, off / slope)
        near = numpy.minimum(numpy.abs(v - o.threshold_sub), numpy.abs(v))
        margin = numpy.fmin(margin, numpy.nanmin(near, axis=(1, 2), initial=numpy.inf))
        if c.shape[2] > 1:
            order = -numpy.sort(-v, axis=2)
            ties = numpy.nanmin(order[:, :, 0] - order[:, :, 1], axis=1, initial=numpy.inf)
            margin = numpy.fmin(margin, ties)
    return margin


def geometric_median(x, rounds=50):
    """Weiszfeld's iteration."""
    centre = x.mean(axis=0)
    for _ in range(rounds):
        weight = 1 / numpy.maximum(numpy.sqrt(((x - centre) ** 2).sum(1)), 1e-12)
        centre = (weight[:, None] * x).sum(0) / weight.sum()
    return centre


def make(o):
    """DATA.npy and WEIGHTS.safetensors, both float32, with no row of the data near a choice."""
    random = numpy.random.default_rng(o.seed)
    m, a, s, d = o.experts, o.sublatents, o.subspace, o.width
    w = fresh_weights(random, m, a, s, d)
    surplus = o.rows + o.rows // 4 + 64
    x = planted_rows(random, surplus, m, a, s, d).astype(numpy.float32)
    if o.bias:
        w["b_dec"] = geometric_median(x[:2048].astype(numpy.float64))
    w = {name: value.astype(numpy.float32).astype(numpy.float64) for name, value in w.items()}
    settle(o, w)
    close = numpy.concatenate(
        [margins(w, x[i:i + 512].astype(numpy.float64), o) for i in range(0, surplus, 512)])
    kept = numpy.flatnonzero(close >= o.margin)
    if len(kept) < o.rows:
        sys.exit(f"Only {len(kept)} of {surplus} rows are {o.margin} away from every choice; "
                 "lower --margin.")
    os.makedirs(o.out, exist_ok=True)
    numpy.save(os.path.join(o.out, "DATA.npy"), x[kept[:o.rows]])
    write_tensors(os.path.join(o.out, "WEIGHTS.safetensors"), w, "F32")
    dropped = int((close[:kept[o.rows - 1]] < o.margin).sum())
    print(f"{o.rows} rows of width {d}, {m} latents; {dropped} rows dropped for standing within "
          f"{o.margin:g} of a choice at k {o.k}")


def settle(o, w):
    """Fills in what `hsae train` would: the paper's settings for a dictionary with sublatents, a
    plain TopK SAE's for one without."""
    d, flat = w["W_enc"].shape[1], "W_down" not in w
    defaults = {
        "threshold": 0.0 if flat else 1 / math.sqrt(d),
        "threshold_sub": 1 / math.sqrt(d),
        "slope_top": 0.0, "slope_sub": 0.01,
        "beta": 0.0 if flat else 0.1, "ortho": 0.0 if flat else 0.1, "l1": 0.0 if flat else 1e-3,
        "auxk": 1 / 30 if flat else 0.0, "auxk_k": d // 2,
    }
    if hasattr(o, "steps"):
        short = min(1000, o.steps // 20)
        defaults |= {
            "warmup": short, "regularizer_warmup": short,
            "dead_window": min(10_000_000, o.steps * o.batch // 20),
        }
    for name, value in defaults.items():
        if getattr(o, name, None) is None:
            setattr(o, name, value)


def step(o):
    w = read_tensors(o.weights)
    unknown = set(w) - set(LEVELS)
    if unknown:
        sys.exit(f"{o.weights}: unknown tensors {sorted(unknown)}")
    w = {name: w[name] for name in LEVELS if name in w}
    for name in UNIT:
        if name in w:
            worst = numpy.abs(numpy.sqrt((w[name] ** 2).sum(-1)) - 1).max()
            if worst > 1e-5:
                sys.exit(f"{o.weights}: a row of {name} is off unit norm by {worst:.1e}")
    data = numpy.load(o.data, allow_pickle=False)
    settle(o, w)
    o.dead = None
    final, records = train(w, data, o, numpy.dtype(o.dtype).type)
    write_tensors(o.out, final, "F64")
    write_json(os.path.splitext(o.out)[0] + ".json", records)
    last = records[-1]
    print(f"{o.steps} steps, loss {records[0]['loss']:.6f} -> {last['loss']:.6f}")


def compare(o):
    """Relative error of a tensor: ||A - B||_F / ||B||_F; of its update: the same of A - start and
    B - start."""
    one, two, start = read_tensors(o.a), read_tensors(o.b), read_tensors(o.start)
    if set(one) != set(two):
        sys.exit(f"Different tensors: {sorted(one)} and {sorted(two)}")
    bad = 0
    print(f"{'tensor':<10} {'weights':>10} {'update':>10} {'largest':>10}   ({o.a} against {o.b})")
    for name in two:
        if one[name].shape != two[name].shape:
            sys.exit(f"{name}: shape {one[name].shape} against {two[name].shape}")
        difference = numpy.linalg.norm(one[name] - two[name])
        size = numpy.linalg.norm(two[name])
        moved = numpy.linalg.norm(two[name] - start[name])
        weights = difference / size if size else difference
        update = difference / moved if moved else (math.inf if difference else 0.0)
        late = not weights <= o.tolerance or not update <= o.update_tolerance
        bad += late
        largest = numpy.abs(one[name] - two[name]).max(initial=0)
        print(f"{name:<10} {weights:10.2e} {update:10.2e} {largest:10.2e}"
              + ("   TOO FAR" if late else ""))
    sys.exit(1 if bad else 0)


def losses(o):
    """The losses of `metrics.jsonl` against those of a reference run, step by step; and the
    gradient norms (after projection, before clipping), which see what Adam's first step hides:
    the gradient's scale."""
    with open(o.reference) as file:
        reference = {record["step"]: record for record in json.load(file)}
    with open(o.metrics) as file:
        records = [json.loads(line) for line in file]
    pairs = [(record, reference[record["step"]]) for record in records
             if record.get("step") in reference]
    late = False
    for key, tolerance in (("loss", o.tolerance), ("gradientNorm", o.norm_tolerance)):
        errors = [abs(one[key] - two[key]) / abs(two[key]) for one, two in pairs if key in one]
        if not errors:
            sys.exit(f"{o.metrics}: no record with a `{key}` and a `step` of {o.reference}")
        worst = max(errors, key=lambda error: math.inf if math.isnan(error) else error)
        late = late or not worst <= tolerance
        print(f"{key} at {len(errors)} steps: largest relative difference {worst:.2e}"
              + ("" if worst <= tolerance else f"   MORE THAN {tolerance:g}"))
    sys.exit(1 if late else 0)


CASES = {
    # name: (m, a, s, bias, dead, k, settings)
    "hierarchical": (5, 3, 2, False, [], 2, {}),
    "slopes, scope topk": (5, 3, 2, False, [], 3, dict(
        slope_top=0.2, slope_sub=0.1, threshold_sub=0.15, l1_scope="topk", l1=0.05, ortho=0.7,
        beta=0.4, clip=0.0, schedule="constant", warmup=0)),
    "flat": (7, 0, 0, False, [], 2, {}),
    "flat, bias, AuxK": (7, 0, 0, True, [0, 2, 3, 6], 2, dict(auxk_k=2, clip=0.5)),
    "everything": (5, 3, 2, True, [1, 3], 2, dict(
        slope_top=0.05, l1=0.03, ortho=0.5, auxk=0.2, auxk_k=3)),
}


def fixture(o):
    """Small cases in double precision: loss parts and raw gradients of the first batch, weights
    after three steps."""
    random = numpy.random.default_rng(o.seed)
    d, rows, batch, cases = 6, 20, 8, []
    for name, (m, a, s, bias, dead, k, changes) in CASES.items():
        w = {key: value.round(4) for key, value in fresh_weights(random, m, a, s, d).items()}
        if s:
            w["W_up"] = random.uniform(-1, 1, (m, s, d)).round(4)
            w["sub_W_dec"] = unit(random.uniform(-1, 1, (m, a, s)))
        w["W_dec"] = unit(random.uniform(-1, 1, (m, d)))
        if bias:
            w["b_dec"] = random.uniform(-0.3, 0.3, d).round(4)
        x = (unit(random.standard_normal((rows, d))) * 1.3).round(4)
        x[3] = 0
        options = ["step", "-", "-", "-", "--k", str(k), "--steps", "3", "--batch", str(batch)]
        case = parser().parse_args(options)
        common = dict(learning_rate=0.01, warmup=1, regularizer_warmup=2)
        for key, value in (common | changes).items():
            setattr(case, key, value)
        settle(case, w)
        case.dead = numpy.isin(numpy.arange(m), dead)
        parts, gradients = loss_and_gradients(w, x[:batch], case, 1.0, case.dead.astype(float))
        parts.pop("fired")
        final, records = train(w, x, case)
        keys = ("threshold", "threshold_sub", "slope_top", "slope_sub", "beta", "ortho", "l1",
                "l1_scope", "auxk", "auxk_k", "clip", "schedule", "learning_rate",
                "learning_rate_start", "learning_rate_floor", "warmup", "regularizer_warmup")
        flatten = lambda tensors: {key: value.ravel().tolist() for key, value in tensors.items()}
        cases.append({
            "name": name, "width": d, "experts": m, "sublatents": a, "subspace": s, "k": k,
            "batch": batch, "dead": dead, "settings": {key: getattr(case, key) for key in keys},
            "data": x.ravel().tolist(), "weights": flatten(w), "parts": parts,
            "gradients": flatten(gradients), "records": records, "final": flatten(final),
        })
    command = f"python3 dev/reference/hsae_reference.py fixture --seed {o.seed} --out {o.out}"
    write_json(o.out, {"command": command, "cases": cases})


def parser():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = p.add_subparsers(dest="command", required=True)

    def thresholds(c):
        c.add_argument("--k", type=int, default=4)
        for name in ("--threshold", "--threshold-sub", "--slope-top", "--slope-sub"):
            c.add_argument(name, type=float)

    c = commands.add_parser("make", help=make.__doc__)
    for name, default in (("rows", 4096), ("width", 64), ("experts", 128), ("sublatents", 8),
                          ("subspace", 4), ("seed", 0)):
        c.add_argument("--" + name, type=int, default=default)
    c.add_argument("--bias", action="store_true", help="with b_dec, the data's geometric median")
    c.add_argument("--margin", type=float, default=2e-6)
    c.add_argument("--out", required=True)
    thresholds(c)

    c = commands.add_parser("step", help="train; also writes OUT.json, the loss of every step")
    for name in ("data", "weights", "out"):
        c.add_argument(name)
    thresholds(c)
    c.add_argument("--steps", type=int, default=1)
    c.add_argument("--batch", type=int, required=True)
    c.add_argument("--learning-rate", type=float, default=5e-4)
    c.add_argument("--learning-rate-start", type=float, default=1e-11)
    c.add_argument("--learning-rate-floor", type=float, default=0.1)
    c.add_argument("--schedule", choices=("cosine", "constant"), default="cosine")
    for name in ("--warmup", "--regularizer-warmup", "--auxk-k", "--dead-window"):
        c.add_argument(name, type=int)
    for name in ("--beta", "--ortho", "--l1", "--auxk"):
        c.add_argument(name, type=float)
    c.add_argument("--l1-scope", choices=("all", "topk"), default="all")
    c.add_argument("--clip", type=float, default=0.75, help="0 for none")
    c.add_argument("--dtype", choices=("float64", "float32"), default="float64",
                   help="what it computes in; float32 shows what rounding alone does")

    c = commands.add_parser("compare", help=compare.__doc__)
    c.add_argument("a")
    c.add_argument("b")
    c.add_argument("--start", required=True)
    c.add_argument("--tolerance", type=float, default=1e-4)
    c.add_argument("--update-tolerance", type=float, default=math.inf)

    c = commands.add_parser("losses", help=losses.__doc__)
    c.add_argument("reference")
    c.add_argument("metrics")
    c.add_argument("--tolerance", type=float, default=0.005)
    c.add_argument("--norm-tolerance", type=float, default=math.inf)

    c = commands.add_parser("fixture", help=fixture.__doc__)
    c.add_argument("--seed", type=int, default=1)
    c.add_argument("--out", required=True)
    return p


if __name__ == "__main__":
    options = parser().parse_args()
    globals()[options.command](options)
