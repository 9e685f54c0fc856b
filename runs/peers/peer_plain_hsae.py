"""A hierarchical SAE in plain PyTorch, straight from the equations: gathers of the active experts'
matrices, automatic differentiation, fused Adam; orthogonality by two Gram matrices rather than m × m.
Variant: bf16 (autocast)."""

import contextlib
import math

import torch
from torch.nn.functional import embedding

UNIT = ("decoder", "sub_decoder")


def trainer(options, variant):
    m, d, k = options.experts, options.width, options.k
    s, a = options.subspace, options.sublatents
    alpha = 1 / math.sqrt(d)
    beta, ortho_weight, l1_weight, clip = 0.1, 0.1, 1e-3, 0.75

    def uniform(*shape):
        return (2 * torch.rand(*shape) - 1) * math.sqrt(6 / shape[-1])

    def unit(x):
        return x / x.norm(dim=-1, keepdim=True)

    encoder, down, sub = uniform(m, d), unit(uniform(m, s, d)), unit(uniform(m, a, s))
    weights = {
        "encoder": encoder, "decoder": unit(encoder), "down": down.reshape(m, s * d),
        "up": down.reshape(m, s * d).clone(), "sub_encoder": sub.reshape(m, a * s),
        "sub_decoder": sub.clone(),
    }
    weights = {name: torch.nn.Parameter(value) for name, value in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=5e-4, fused=True)

    def threshold(u, slope):
        return torch.where(u >= alpha, u, slope * u)

    def loss(x):
        w = weights
        u = x @ w["encoder"].T
        z_all = torch.where(u >= alpha, u, 0.0)
        z, chosen = z_all.topk(k, dim=-1)
        active = z > 0
        y = torch.einsum("bksd,bd->bks", embedding(chosen, w["down"]).view(-1, k, s, d), x)
        sub_encoder = embedding(chosen, w["sub_encoder"]).view(-1, k, a, s)
        c = threshold(torch.einsum("bkas,bks->bka", sub_encoder, y), 0.01)
        c = c * active[..., None]
        code, best = c.max(dim=-1)
        atoms = embedding(chosen * a + best, w["sub_decoder"].view(m * a, s))
        steps = code[..., None] * atoms
        up = embedding(chosen, w["up"]).view(-1, k, s, d)
        low = torch.einsum("bks,bksd->bd", steps, up)
        high = torch.einsum("bk,bkd->bd", z, embedding(chosen, w["decoder"]))
        full = (x - high - low).pow(2).sum(-1).mean()
        top = (x - high).pow(2).sum(-1).mean()
        sparse = (z_all.abs().sum() + c.abs().sum()) / len(x)
        e, dec = w["encoder"], w["decoder"]
        squares = ((e.T @ e) * (dec.T @ dec)).sum() - (e * dec).sum(-1).pow(2).sum()
        ortho = squares.clamp_min(1e-12).sqrt() / (m * m - m)
        return full + beta * top + ortho_weight * ortho + l1_weight * sparse

    def step(number, x):
        bf16 = torch.autocast("cpu", torch.bfloat16) if "bf16" in variant else contextlib.nullcontext()
        with bf16:
            value = loss(x)
        value.backward()
        with torch.no_grad():
            for name in UNIT:
                weight = weights[name]
                weight.grad -= (weight.grad * weight).sum(-1, keepdim=True) * weight
        torch.nn.utils.clip_grad_norm_(weights.values(), clip)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for name in UNIT:
                weights[name] /= weights[name].norm(dim=-1, keepdim=True)
        return value.detach()

    return step
