"""Trains SAELens's batchtopk, matryoshka_batchtopk, jumprelu and topk with its own trainer and default optimizer, three
seeds each, for runs/saelens-train.sh: ROWS.npy FOLDER STEPS BATCH LATENTS K DEAD. DEAD are the steps without activity after
which AuxK takes a latent for dead, in place of SAELens's 1,000. Existing SAEs are kept."""

import sys
from pathlib import Path

import numpy as np
import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer


def batches(rows, batch, seed):
    """Every epoch in a new order, as hsae reads them."""
    generator = torch.Generator().manual_seed(seed)
    rest = torch.empty(0, dtype=torch.long)
    while True:
        while len(rest) < batch:
            rest = torch.cat([rest, torch.randperm(len(rows), generator=generator)])
        yield rows[rest[:batch]]
        rest = rest[batch:]


def main():
    rows, folder = torch.from_numpy(np.load(sys.argv[1])), Path(sys.argv[2])
    steps, batch, latents, k, dead = (int(x) for x in sys.argv[3:8])
    common = dict(d_in=rows.shape[1], d_sae=latents)
    kinds = {
        "topk": (TopKTrainingSAE, TopKTrainingSAEConfig(**common, k=k)),
        "batchtopk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig(**common, k=k)),
        "matryoshka": (MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig(
            **common, k=k, matryoshka_widths=[latents // 8, latents // 2, latents])),
        "jumprelu": (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig(
            **common, jumprelu_sparsity_loss_mode="quadratic", target_l0=float(k))),
    }
    for name, (kind, config) in kinds.items():
        for seed in range(3):
            target = folder / f"{name}-{seed}"
            if target.exists():
                continue
            torch.manual_seed(seed)
            trainer = SAETrainer(
                SAETrainerConfig(
                    total_training_samples=batch * steps, train_batch_size_samples=batch, device="cpu", lr_end=3e-5,
                    dead_feature_window=dead, logger=LoggingConfig(log_to_wandb=False)),
                kind(config), data_provider=batches(rows, batch, seed))
            trainer.fit().save_inference_model(target)
            print(f"{name}, seed {seed}: done", file=sys.stderr)


main()
