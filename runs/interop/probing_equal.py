"""Makes the fixture that compares the suite probing with sae-probes 0.4.2: OUTPUT.json [SEED].

sae-probes's own functions choose latents and fit probes for made-up codes: three labelled sets of texts, from one that
a latent tells perfectly to one that is noise, and a dense matrix. The fixture has the codes (as whole thousandths, so that a
file of text keeps them exactly), the labels, and sae-probes's choices and scores. scikit-learn stops at a gradient of
1e-4, which is far from the minimum where classes separate. So the fixture also has the weights, and the scores of the dense
probe, for the same function with regressions that converge. Needs numpy, scikit-learn, xgboost,
pandas, torch and the package sae-probes, whose imports of language models are replaced by empty modules."""

import json
import sys
from unittest import mock

import numpy as np
import torch

for name in ("sae_lens", "transformer_lens", "transformers", "transformers.tokenization_utils_base"):
    sys.modules[name] = mock.MagicMock()
from sae_probes.run_sae_evals import get_sorted_indices, mean_act_normalization  # noqa: E402
from sae_probes import utils_training  # noqa: E402
from sae_probes.utils_training import find_best_reg  # noqa: E402

Regression = utils_training.LogisticRegression


def converged(*arguments):
    """What find_best_reg finds with regressions that converge."""
    with mock.patch.object(utils_training, "LogisticRegression",
                           lambda **options: Regression(**{**options, "tol": 1e-8, "max_iter": 100_000})):
        return find_best_reg(*arguments, penalty="l2", seed=42)


output, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
random = np.random.default_rng(seed)
texts, training, latents = 240, 160, 24
sets = []
for strength in (3.0, 0.8, 0.0):
    labels = random.permutation(np.repeat([0, 1], texts // 2))
    rates = random.uniform(0.02, 0.4, latents)
    effects = strength * random.normal(size=latents) * (random.random(latents) < 0.3)
    chance = 1 / (1 + np.exp(-(np.log(rates / (1 - rates)) + np.outer(2 * labels - 1, effects))))
    codes = (random.random((texts, latents)) < chance) * random.lognormal(0, 0.5, (texts, latents))
    codes = np.round(codes * 1000) / 1000
    x, y = torch.tensor(codes, dtype=torch.float32), torch.tensor(labels)
    ranked = get_sorted_indices(x[:training], y[:training], mean_act_normalization)[:5]
    probes = []
    for k in (1, 2, 5):
        data = x[:training][:, ranked[:k]], y[:training], x[training:][:, ranked[:k]], y[training:]
        found, exact = find_best_reg(*data, penalty="l2", seed=42), converged(*data)
        probes.append({"auc": found.metrics.test_auc, "accuracy": found.metrics.test_acc, "strength": found.classifier.C,
                       "exact": {"strength": exact.classifier.C, "weights": exact.classifier.coef_[0].tolist(),
                                 "bias": float(exact.classifier.intercept_[0])}})
    data = x[:training], y[:training], x[training:], y[training:]
    found, exact = find_best_reg(*data, penalty="l2", seed=42), converged(*data)
    print("dense AUC, as published and converged:", found.metrics.test_auc, exact.metrics.test_auc)
    sets.append({
        "labels": labels.tolist(), "codes": [[int(v) for v in row] for row in np.round(codes * 1000)],
        "ranked": ranked.tolist(), "probes": probes,
        "whole": {"auc": exact.metrics.test_auc, "accuracy": exact.metrics.test_acc, "strength": exact.classifier.C}})
with open(output, "w") as file:
    json.dump({"training": training, "sets": sets}, file, separators=(",", ":"))
    file.write("\n")
print("wrote", output, [[p["auc"] for p in s["probes"]] for s in sets])
