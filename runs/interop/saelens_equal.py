"""Whether SAELens computes from exported folders what hsae computes: codes and reconstructions of the same
rows. Called by runs/saelens.sh with the rows (float32 .npy) and pairs FOLDER CODES, CODES being the output
of `hsae encode --reconstruct`. Exits with 1 if a relative error exceeds 1e-5. Leaves out rows in which two latents tie or
one is at its threshold (at most 1 in 100). Also folds the norms of decoder rows, saves and loads again: codes times norms
and reconstructions must stay the same."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "interop/python"))
import hsae_saelens  # noqa: E402,F401
from sae_lens import SAE  # noqa: E402


def dense(lines, shape, scale):
    """hsae's codes as SAELens lays them out, and reconstructions."""
    experts, sublatents, latents = shape
    codes, rows = np.zeros((len(lines), latents), np.float32), []
    for index, line in enumerate(lines):
        for latent in line["latents"]:
            codes[index, latent[0]] = latent[1] * scale
            if latents > experts and len(latent) == 4:
                codes[index, experts + sublatents * latent[0] + latent[2]] = latent[3] * scale
        rows.append(line["reconstruction"])
    return codes, np.array(rows, np.float32)


def kept(sae, x):
    """The largest relative change of reconstructions of `x` by folding, saving and loading."""
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        before = sae.decode(sae.encode(x))
        sae.fold_W_dec_norm()
        sae.save_model(folder)
        after = SAE.load_from_disk(folder)
        return float((after.decode(after.encode(x)) - before).norm() / before.norm())


def main():
    x = np.load(sys.argv[1])
    worst = 0.0
    for folder, path in zip(sys.argv[2::2], sys.argv[3::2]):
        sae = SAE.load_from_disk(folder)
        cfg = sae.cfg
        shape = getattr(cfg, "n_experts", cfg.d_sae), getattr(cfg, "n_sublatents", 0), cfg.d_sae
        norms = np.linalg.norm(x, axis=1, keepdims=True) if cfg.normalize_activations != "none" else np.ones((len(x), 1))
        squares, ties, gap = [0.0] * 4, 0, 0.0
        thresholds = getattr(sae, "expert_threshold", getattr(sae, "threshold", None))
        thresholds = None if thresholds is None or not (thresholds > 0).any() else thresholds.detach().numpy()
        with open(path) as file, torch.no_grad():
            for start in range(0, len(x), 500):
                lines = [json.loads(file.readline()) for _ in range(min(500, len(x) - start))]
                part = slice(start, start + len(lines))
                codes, rows = dense(lines, shape, cfg.metadata.hsae_code_scale)
                acts = sae.encode(torch.from_numpy(x[part]))
                back = sae.decode(acts).numpy() / norms[part]
                acts = acts.numpy()
                # Two latents that differ in the last bit may change places; then their codes are equal.
                differs = (codes != 0) != (acts != 0)
                tied = differs.any(axis=1)
                ties += int(tied.sum())
                if thresholds is not None:
                    # An expert that only one of both has must be at its threshold.
                    expert = differs[:, : shape[0]]
                    left = np.where(expert, np.maximum(codes, acts)[:, : shape[0]] - np.maximum(thresholds, 0), 0)
                    left = np.abs(left).max(axis=1)
                else:
                    left = np.where(differs, codes - acts, 0)
                    # With another expert come its sublatents, whose codes are their own.
                    expert = differs[:, : shape[0]].any(axis=1)
                    left = np.where(expert, left[:, : shape[0]].sum(axis=1), left.sum(axis=1))
                gap = max(gap, float(np.abs(left[tied] / np.maximum(codes, acts).max(axis=1)[tied]).max(initial=0)))
                same = ~tied
                squares[0] += float(((codes - acts)[same] ** 2).sum())
                squares[1] += float((codes[same] ** 2).sum())
                squares[2] += float(((rows - back)[same] ** 2).sum())
                squares[3] += float((rows[same] ** 2).sum())
        errors = (squares[0] / squares[1]) ** 0.5, (squares[2] / squares[3]) ** 0.5
        print(f"{folder}: {type(sae).__name__}, {len(x)} rows: relative error of codes {errors[0]:.1e}, of "
              f"reconstructions {errors[1]:.1e}; {ties} rows with other active latents, "
              f"at most {gap:.1e} of the strongest code apart")
        change = kept(sae, torch.from_numpy(x[:500]))
        print(f"{folder}: folded, saved and loaded, reconstructions differ by {change:.1e}")
        worst = max(worst, *errors, gap, ties / len(x) / 1000, change)
    sys.exit(worst > 1e-5)


main()
