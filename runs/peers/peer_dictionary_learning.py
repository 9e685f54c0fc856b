"""dictionary_learning's TopK SAE through its own TopKTrainer. Variant: bf16 (autocast, as trainSAE)."""

import contextlib

import torch
from dictionary_learning.trainers.top_k import TopKTrainer


def trainer(options, variant):
    trainer = TopKTrainer(
        steps=100_000, activation_dim=options.width, dict_size=options.experts, k=options.k, layer=0,
        lm_name="none", warmup_steps=1000, seed=0, device="cpu",
    )

    def step(number, x):
        bf16 = torch.autocast("cpu", torch.bfloat16) if "bf16" in variant else contextlib.nullcontext()
        with bf16:
            return trainer.update(number, x)

    return step
