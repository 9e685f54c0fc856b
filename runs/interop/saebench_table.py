"""How far SAEBench's numbers are from those of `hsae evaluate`, as a table. Called by runs/saebench.sh:

    saebench_table.py OURS.json OUT ROWS FOLDER…

FOLDER's name is that of its run in OURS.json, OUT holds what saebench_core.py wrote, and ROWS is how many rows
the store has. The table compares SAEBench's own definitions, on the same rows. Where the two definitions
differ, a comment says what makes them equal.
"""

import json
import sys
from pathlib import Path

# SAEBench's name, ours, and whether SAEBench's number depends on the batch (then all contexts form one batch, as ours do).
NUMBERS = [
    ("ce_loss_without_sae", "ce_loss", False),
    ("ce_loss_with_sae", "ce_loss_spliced", False),
    ("ce_loss_with_ablation", "ce_loss_zero", False),
    ("ce_loss_score", "ce_loss_score", False),
    ("kl_div_with_sae", "kl_div", False),
    ("kl_div_with_ablation", "kl_div_zero", False),
    ("kl_div_score", "kl_div_score", False),
    ("explained_variance", "explained_variance_saebench", True),
    ("explained_variance_legacy", "explained_variance_legacy_unscaled", True),
    ("mse", "mse_unscaled", True),
    ("cossim", "cosine", True),
    ("l2_ratio", "norm_ratio", True),
    ("relative_reconstruction_bias", "relative_reconstruction_bias_unscaled", True),
    ("l0", "l0", True),
    ("frac_alive", "dead_latents", False),
]


def own(numbers, name, key, cfg, rows):
    """The number of `hsae evaluate` that is SAEBench's `name`; None if there is none."""
    value = numbers.get(key)
    if value is None:
        return None
    sublatents = cfg.get("n_sublatents", 0)
    if name == "mse":
        # SAEBench divides each row's squared error by the number of rows of its batch.
        return value / rows
    if name == "l0":
        # To SAELens sublatents are latents; each active expert has one whose code is not zero.
        return value * (2 if sublatents else 1)
    if name == "frac_alive":
        return 1 - (value + sublatents * numbers.get("dead_sublatents", 0)) / (1 + sublatents)
    return value


def main():
    ours, out, rows = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3])
    print("| run | number | SAEBench | hsae | difference |")
    print("|---|---|---|---|---|")
    for folder in map(Path, sys.argv[4:]):
        written = json.loads((out / f"{folder.name}_custom_sae_eval_results.json").read_text())
        batched = {key: value for group in written["eval_result_metrics"].values() for key, value in group.items()}
        whole = json.loads((out / f"{folder.name}_one_batch.json").read_text())
        run = next(run for run in ours["runs"] if run["name"] == folder.name)
        numbers = {number["key"]: number["value"] for suite in run["results"] for number in suite["numbers"]}
        cfg = json.loads((folder / "cfg.json").read_text())
        for name, key, in_one in NUMBERS:
            theirs, value = (whole if in_one else batched)[name], own(numbers, name, key, cfg, rows)
            if value is not None:
                print(f"| {folder.name} | {name} | {theirs:.6g} | {value:.6g} | {value - theirs:+.1e} |")


main()
