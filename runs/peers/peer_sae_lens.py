"""SAELens's TopK SAE through its own SAETrainer. Variant: bf16 (autocast).
Its sparse codes (use_sparse_activations) do not run on a CPU with this version of PyTorch."""

from sae_lens.config import SAETrainerConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer


def trainer(options, variant):
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(
        d_in=options.width, d_sae=options.experts, k=options.k, device="cpu", dtype="float32",
    ))
    config = SAETrainerConfig(
        total_training_samples=options.batch * 100_000, train_batch_size_samples=options.batch,
        lr_end=3e-5, device="cpu", autocast="bf16" in variant,
    )
    trainer = SAETrainer(config, sae, data_provider=iter(()))

    def step(number, x):
        output = trainer.step(x)
        trainer.n_training_steps += 1
        return output.loss

    return step
