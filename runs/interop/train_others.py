"""Trains small SAEs with SAELens and sparsify on the rows of a float32 .npy and saves them with those tools, for
runs/import.sh: ROWS FOLDER. Existing SAEs are kept."""

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
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder

BATCH, STEPS, LATENTS = 1024, 200, 2048


def batches(rows):
    generator = torch.Generator().manual_seed(0)
    while True:
        yield rows[torch.randint(len(rows), (BATCH,), generator=generator)]


def saelens(rows, width):
    """A name, a class and a configuration for every kind; the scaling of rows differs between them."""
    mean = float(rows.norm(dim=1).mean())
    common = dict(d_in=width, d_sae=LATENTS)
    return [
        ("standard", StandardTrainingSAE, StandardTrainingSAEConfig(
            **common, l1_coefficient=1, normalize_activations="expected_average_only_in")),
        ("standard-raw", StandardTrainingSAE, StandardTrainingSAEConfig(
            **common, l1_coefficient=mean, apply_b_dec_to_input=False)),
        ("jumprelu", JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig(
            **common, l0_coefficient=2, normalize_activations="expected_average_only_in")),
        ("topk", TopKTrainingSAE, TopKTrainingSAEConfig(
            **common, k=32, normalize_activations="expected_average_only_in")),
        ("topk-unit", TopKTrainingSAE, TopKTrainingSAEConfig(
            **common, k=32, normalize_activations="constant_norm_rescale")),
        ("batchtopk", BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig(
            **common, k=32, normalize_activations="expected_average_only_in")),
        ("matryoshka", MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig(
            **common, k=32, matryoshka_widths=[256, 1024, LATENTS],
            normalize_activations="expected_average_only_in")),
    ]


def train_saelens(name, kind, config, rows, folder):
    torch.manual_seed(1)
    sae = kind(config)
    trainer = SAETrainer(
        SAETrainerConfig(
            n_checkpoints=0, checkpoint_path=None, save_final_checkpoint=False,
            total_training_samples=BATCH * STEPS, device="cpu", autocast=False, lr=1e-3, lr_end=1e-4,
            lr_scheduler_name="constant", lr_warm_up_steps=20, adam_beta1=0.9, adam_beta2=0.999,
            lr_decay_steps=50, n_restart_cycles=1, train_batch_size_samples=BATCH,
            dead_feature_window=1000, feature_sampling_window=2000, logger=LoggingConfig(log_to_wandb=False)),
        sae, data_provider=batches(rows))
    # The factor of expected_average_only_in is folded into the weights at the end.
    trainer.cfg.n_batches_for_norm_estimate = 20
    trainer.fit().save_inference_model(folder / name)


def train_sparsify(rows, width, folder):
    torch.manual_seed(1)
    sae = SparseCoder(width, SparseCoderConfig(num_latents=LATENTS, k=32))
    sae.b_dec.data = rows.mean(0)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-3)
    provider = batches(rows)
    for _ in range(STEPS):
        sae.set_decoder_norm_to_unit_norm()
        sae(next(provider)).fvu.backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
    sae.set_decoder_norm_to_unit_norm()
    sae.save_to_disk(folder / "sparsify")


def main():
    rows, folder = torch.from_numpy(np.load(sys.argv[1])), Path(sys.argv[2])
    width = rows.shape[1]
    for name, kind, config in saelens(rows, width):
        if not (folder / name).exists():
            train_saelens(name, kind, config, rows, folder)
    if not (folder / "sparsify").exists():
        train_sparsify(rows, width, folder)


main()
