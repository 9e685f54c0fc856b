"""SAELens's SAEs through its own SAETrainer: TopK, or the variant batchtopk, matryoshka or jumprelu. Variant: bf16
(autocast).
Its sparse codes (use_sparse_activations) do not run on a CPU with this version of PyTorch."""

from sae_lens.config import SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer


def new_sae(kind, width, latents, k, prefixes, **settings):
    """An untrained SAE of SAELens: kind topk, batchtopk, matryoshka with these prefixes, or jumprelu with a target of k."""
    common = dict(d_in=width, d_sae=latents, device="cpu", dtype="float32", **settings)
    if kind == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**common, k=k))
    if kind == "matryoshka":
        return MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(**common, k=k, matryoshka_widths=prefixes))
    if kind == "jumprelu":
        return JumpReLUTrainingSAE(JumpReLUTrainingSAEConfig(
            **common, jumprelu_sparsity_loss_mode="quadratic", target_l0=float(k)))
    if kind == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(**common, k=k))
    raise ValueError(f"there is no kind {kind}")


def trainer(options, variant):
    m = options.experts
    kind = next((kind for kind in ["batchtopk", "matryoshka", "jumprelu"] if kind in variant), "topk")
    sae = new_sae(kind, options.width, m, options.k, [m // 16, m // 4, m])
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
