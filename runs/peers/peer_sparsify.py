"""sparsify's TopK SAE. Its trainer needs a language model, so the step here is the
one in `Trainer.fit` around its own SparseCoder and optimizers. Variants: adam (else its default,
schedule-free signum), chunks (8 micro-batches), bf16 (autocast around its forward pass: its own autocast
is for CUDA only, so on a CPU this is a setting that we add)."""

import contextlib

import torch
from schedulefree import ScheduleFreeWrapper
from sparsify.config import SparseCoderConfig
from sparsify.sign_sgd import SignSGD
from sparsify.sparse_coder import SparseCoder


def trainer(options, variant):
    sae = SparseCoder(options.width, SparseCoderConfig(num_latents=options.experts, k=options.k))
    scale = (options.experts / 2**14) ** 0.5
    if "adam" in variant:
        optimizer = torch.optim.Adam(sae.parameters(), lr=2e-4 / scale)
    else:
        optimizer = ScheduleFreeWrapper(SignSGD(sae.parameters(), lr=5e-3 / scale), momentum=0.95)
        optimizer.train()
    torch.set_float32_matmul_precision("high")
    chunks = 8 if "chunks" in variant else 1
    since_fired = torch.zeros(options.experts, dtype=torch.long)

    def step(number, x):
        sae.set_decoder_norm_to_unit_norm()
        total_variance = (x - x.mean(0)).pow(2).sum()
        fired = torch.zeros(options.experts, dtype=torch.bool)
        fvu = 0.0
        for chunk in x.chunk(chunks):
            bf16 = (
                torch.autocast("cpu", torch.bfloat16) if "bf16" in variant
                else contextlib.nullcontext())
            with bf16:
                out = sae(chunk, total_variance=total_variance)
            fired[out.latent_indices.flatten()] = True
            fvu += float(out.fvu.detach())
            out.fvu.div(chunks).backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        since_fired.add_(len(x))
        since_fired[fired] = 0
        return fvu

    return step
