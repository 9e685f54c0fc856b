#!/usr/bin/env python3
"""The table of runs/peers.sh: each program's best setting among the results in a folder, and how many
times faster hsae is, hierarchical and flat."""

import glob
import json
import os
import sys


def load(folder):
    """name -> (rows per second, setting), the best of each; and hsae's two."""
    best = {}

    def offer(name, rate, setting):
        if name not in best or rate > best[name][0]:
            best[name] = (rate, setting)

    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as file:
            result = json.load(file)
        if "comparisonBatch" in result:
            batch, setting = result["comparisonBatch"], f"batch {result['comparisonBatch']}, {result['precision']}"
            # hsae-BATCH-KIND.json; "plain" is TopK.
            kind = os.path.basename(path)[:-5].split("-", 2)[2]
            kind = "" if kind == "plain" else f", {kind}"
            offer(f"hsae, hierarchical{kind}", batch / result["hierarchicalSecondsPerStep"], setting)
            offer(f"hsae, flat{kind}", batch / result["flatSecondsPerStep"], setting)
        else:
            variant = result["variant"] or "float32"
            name = result["name"]
            for kind in ["batchtopk", "matryoshka", "jumprelu"]:
                if kind in variant.split(","):
                    name += f", {kind}"
            if name == "sparsify" and "bf16" in variant:
                name = "sparsify, autocast added by us"
            offer(name, result["tokensPerSecond"], f"batch {result['batch']}, {variant}")
    return best


def main():
    best = load(sys.argv[1])
    print("\n| program | rows/s | best at | our H-SAE is faster | our flat SAE is faster |")
    print("|---|---|---|---|---|")
    for name, (rate, setting) in sorted(best.items(), key=lambda item: item[1][0]):
        kind = name[name.index(","):] if name.startswith("sae_lens,") else ""
        ours = [best.get(f"hsae, {level}{kind}", (None,))[0] for level in ["hierarchical", "flat"]]
        ratios = ["" if own is None or name.startswith("hsae") else f"{own / rate:.1f} ×" for own in ours]
        print(f"| {name} | {rate:,.0f} | {setting} | {ratios[0]} | {ratios[1]} |")


if __name__ == "__main__":
    main()
