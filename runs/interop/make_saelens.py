"""Makes SAEs with SAELens's own classes, of every kind and setting that hsae imports, without training: random
weights with decoder rows of norms 0.2 to 3. SAELens saves them. Gemma Scope's files are made by NumPy, SAELens reads
them. Called by runs/import.sh: ROWS FOLDER; writes the rows (float32 .npy) too."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.registry import get_sae_class, get_sae_training_class
from sae_lens.training.activation_scaler import ActivationScaler
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.numpy import save_file

WIDTH, LATENTS, K, ROWS = 48, 256, 16, 500
random = np.random.default_rng(1)


def make_rows():
    """Rows with a mean, dimensions of unequal size, and lengths of 4 to 60."""
    rows = random.standard_normal((ROWS, WIDTH)) @ random.standard_normal((WIDTH, WIDTH)) / 4
    rows = (rows + random.standard_normal(WIDTH)) * random.uniform(0.5, 3, (ROWS, 1))
    return rows.astype(np.float32)


def make_weights(zeros=0):
    """Arrays under SAELens's names; the first `zeros` decoder rows are zero."""
    decoder = random.standard_normal((LATENTS, WIDTH))
    decoder *= random.uniform(0.2, 3, (LATENTS, 1)) / np.linalg.norm(decoder, axis=1, keepdims=True)
    decoder[:zeros] = 0
    arrays = {"W_enc": random.standard_normal((WIDTH, LATENTS)) / WIDTH**0.5, "W_dec": decoder,
              "b_enc": random.standard_normal(LATENTS) * 0.5, "b_dec": random.standard_normal(WIDTH) * 0.5,
              "threshold": random.uniform(0, 3, LATENTS)}
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def fill(sae, arrays):
    for name, value in arrays.items():
        if (own := getattr(sae, name, None)) is not None:
            own.data = torch.from_numpy(value).to(own.dtype)
    return sae


def inference(folder):
    """SAEs as SAELens saves them for inference."""
    def save(name, architecture, zeros=0, **settings):
        kind, config = get_sae_class(architecture)
        sae = fill(kind(config(d_in=WIDTH, d_sae=LATENTS, **settings)), make_weights(zeros))
        sae.save_model(folder / name)

    kinds = {"standard": {}, "jumprelu": {}, "topk": {"k": K},
             "topk-rescaled": {"k": K, "rescale_acts_by_decoder_norm": True}}
    for kind, settings in kinds.items():
        architecture = kind.split("-")[0]
        for scaling in ["none", "constant_norm_rescale", "layer_norm"]:
            for shifted in [True, False]:
                save(f"{kind}-{scaling}{'' if shifted else '-raw'}", architecture, normalize_activations=scaling,
                     apply_b_dec_to_input=shifted, **settings)
        if kind != "topk-rescaled":  # SAELens would divide by the norm.
            save(f"{kind}-zero-rows", architecture, zeros=3, **settings)
        save(f"{kind}-bfloat16", architecture, dtype="bfloat16", **settings)
    save("topk-hook_z", "topk", k=K, reshape_activations="hook_z")
    save("gated-refused", "gated")


def trained(folder, rows):
    """SAEs as SAELens's trainer saves them at its end, rows' scaling folded, and as its checkpoints."""
    kinds = {"standard": {}, "jumprelu": {}, "topk": {"k": K}, "batchtopk": {"k": float(K)},
             "matryoshka": {"k": float(K), "matryoshka_widths": [32, 100, LATENTS]}}
    for kind, settings in kinds.items():
        for scaling in ["none", "expected_average_only_in", "covariance_whitening"]:
            for shifted in [True, False]:
                for rescaled in [True, False] if "k" in settings else [None]:
                    name = (f"{kind}-{scaling}{'' if shifted else '-raw'}"
                            f"{'-rescaled' if rescaled else ''}")
                    more = {} if rescaled is None else {"rescale_acts_by_decoder_norm": rescaled}
                    cls, config = get_sae_training_class(
                        "matryoshka_batchtopk" if kind == "matryoshka" else kind)
                    sae = fill(cls(config(d_in=WIDTH, d_sae=LATENTS, normalize_activations=scaling,
                                          apply_b_dec_to_input=shifted, **settings, **more)), make_weights())
                    save_trained(sae, name, scaling, folder, rows)


def save_trained(sae, name, scaling, folder, rows):
    trainer = SAETrainer(
        SAETrainerConfig(
            n_checkpoints=0, checkpoint_path=None, save_final_checkpoint=False, total_training_samples=ROWS,
            device="cpu", autocast=False, lr=1e-3, lr_end=1e-3, lr_scheduler_name="constant", lr_warm_up_steps=0,
            adam_beta1=0.9, adam_beta2=0.999, lr_decay_steps=0, n_restart_cycles=1, train_batch_size_samples=ROWS,
            dead_feature_window=1000, feature_sampling_window=2000, logger=LoggingConfig(log_to_wandb=False)),
        sae, data_provider=iter(()))
    scaler = trainer.activation_scaler = ActivationScaler()
    if scaling == "expected_average_only_in":
        scaler.estimate_scaling_factor(WIDTH, iter([rows]), 1)
    elif scaling == "covariance_whitening":
        scaler.estimate_whitening(WIDTH, iter([rows]), 1)
    if hasattr(sae, "topk_threshold"):
        with torch.no_grad():
            values = sae.encode_with_hidden_pre(scaler(rows))[1].flatten()
            sae.topk_threshold = values.topk(ROWS * K).values[-2:].double().mean()
    trainer.n_frac_active_samples = 1
    trainer.save_checkpoint(f"checkpoint-{name}", base_path=folder)
    # As the trainer's fit() does at the end.
    if scaler.scaling_factor is not None:
        sae.fold_activation_norm_scaling_factor(scaler.scaling_factor)
    if scaler.whitening is not None:
        w = scaler.whitening
        sae.fold_activation_whitening(mean=w.mean, whitening_matrix=w.matrix, unwhitening_matrix=w.inverse_matrix)
    sae.save_inference_model(folder / f"saved-{name}")


def old(folder):
    """Files in the layout before version 6, which SAELens still reads."""
    for name, settings, names in [
        ("old-standard", {"hook_point": "blocks.3.hook_resid_post", "activation_fn": "relu"}, []),
        ("old-standard-raw", {"hook_name": "blocks.3.hook_resid_post", "architecture": "standard",
                              "apply_b_dec_to_input": False, "normalize_activations": False}, []),
        ("old-jumprelu", {"architecture": "jumprelu", "hook_name": "blocks.3.hook_mlp_out",
                          "activation_fn_str": "relu", "normalize_activations": "none"}, ["threshold"]),
        ("old-topk", {"architecture": "standard", "hook_name": "blocks.3.hook_resid_post",
                      "activation_fn_str": "topk", "activation_fn_kwargs": {"k": K},
                      "normalize_activations": "layer_norm"}, []),
    ]:
        (folder / name).mkdir()
        arrays = make_weights()
        names = ["W_enc", "W_dec", "b_enc", "b_dec", *names]
        save_file({key: arrays[key] for key in names}, folder / name / "sae_weights.safetensors")
        settings |= {"d_in": WIDTH, "d_sae": LATENTS, "dtype": "torch.float32", "model_name": "gpt2"}
        (folder / name / "cfg.json").write_text(json.dumps(settings))


def gemma_scope(folder):
    for path in ["google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71",
                 "google/gemma-scope-2b-pt-att/layer_3/width_16k/average_l0_71"]:
        (folder / path).mkdir(parents=True)
        arrays = make_weights()
        np.savez(folder / path / "params.npz", **arrays)
    for path, hook in [("resid_post_all/layer_12_width_16k_l0_small", "output"),
                       ("mlp_out_all/layer_12_width_16k_l0_small", "post_feedforward_layernorm.output")]:
        path = folder / "google/gemma-scope-2-270m-pt" / path
        path.mkdir(parents=True)
        arrays = {name.replace("W_", "w_"): value for name, value in make_weights().items()}
        save_file(arrays, path / "params.safetensors")
        hook = f"model.layers.12.{hook}"
        (path / "config.json").write_text(json.dumps({
            "hf_hook_point_in": hook, "hf_hook_point_out": hook, "width": LATENTS, "model_name": "gemma-v3-270m-pt",
            "architecture": "jump_relu", "l0": 10, "affine_connection": False, "type": "sae"}))


def main():
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    rows = make_rows()
    inference(folder)
    trained(folder, torch.from_numpy(rows))
    old(folder)
    gemma_scope(folder)
    np.save(path, rows)  # Last: they say that all is there.


main()
