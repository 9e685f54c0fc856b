"""Trains SAELens's topk, batchtopk, matryoshka_batchtopk and jumprelu with its own trainer and default optimizer, three
seeds each, for runs/saelens-train.sh: ROWS.npy FOLDER STEPS BATCH LATENTS K DEAD NORM KIND…. DEAD are the steps without
activity after which AuxK takes a latent for dead, in place of SAELens's 1,000. NORM is the norm of the first decoder
rows (SAELens's default is 0.1). Where it is 1, the first weights are written too, to FOLDER/KIND-SEED.safetensors with
the names of `hsae train --init`. "unit" is 1, and rows are scaled to it before every step. Existing SAEs are kept."""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
from peer_sae_lens import new_sae  # noqa: E402


def batches(rows, batch, seed, before):
    """Every epoch in a new order, as hsae reads them. `before` is called before each batch."""
    generator = torch.Generator().manual_seed(seed)
    rest = torch.empty(0, dtype=torch.long)
    while True:
        while len(rest) < batch:
            rest = torch.cat([rest, torch.randperm(len(rows), generator=generator)])
        before()
        yield rows[rest[:batch]]
        rest = rest[batch:]


def main():
    rows, folder = torch.from_numpy(np.load(sys.argv[1])), Path(sys.argv[2])
    steps, batch, latents, k, dead = (int(x) for x in sys.argv[3:8])
    is_unit = sys.argv[8] == "unit"
    norm = 1.0 if is_unit else float(sys.argv[8])
    for kind in sys.argv[9:]:
        for seed in range(3):
            target = folder / f"{kind}-{seed}"
            if target.exists():
                continue
            torch.manual_seed(seed)
            sae = new_sae(
                kind, rows.shape[1], latents, k, [latents // 8, latents // 2, latents], decoder_init_norm=norm)
            if norm == 1:
                rows_of = {"W_enc": sae.W_enc.T, "W_dec": sae.W_dec, "b_enc": sae.b_enc, "b_dec": sae.b_dec}
                save_file(
                    {name: tensor.detach().clone().contiguous() for name, tensor in rows_of.items()},
                    folder / f"{kind}-{seed}.safetensors")

            def scale_rows(sae=sae):
                if is_unit:
                    sae.W_dec.data /= sae.W_dec.data.norm(dim=1, keepdim=True)

            trainer = SAETrainer(
                SAETrainerConfig(
                    total_training_samples=batch * steps, train_batch_size_samples=batch, device="cpu", lr_end=3e-5,
                    dead_feature_window=dead, logger=LoggingConfig(log_to_wandb=False)),
                sae, data_provider=batches(rows, batch, seed, scale_rows))
            trainer.fit().save_inference_model(target)
            print(f"{kind}, seed {seed}: done", file=sys.stderr)


main()
