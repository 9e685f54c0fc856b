#!/usr/bin/env python3
"""Times training steps of one tool at one setting, and prints a line of JSON.

    peer.py NAME --width 640 --experts 16384 --k 32 --batch 8192 [--variant …] [--seconds 20]

Every tool trains through its own code, by its own optimizer, on random unit rows (TopK's cost
does not depend on them), all in memory, so that reading costs nothing. The script times whole steps:
forward, backward, update. It leaves out the first step and takes the median of those that fit into
--seconds, at least two.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import time

# Before torch is loaded: no accelerator, no network, no progress bars of dependencies.
os.environ.update(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", WANDB_MODE="disabled")

import torch  # noqa: E402


def rows(count, width, seed=0):
    """`count` random unit rows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, width, generator=generator)
    return x / x.norm(dim=1, keepdim=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["sae_lens", "sparsify", "dictionary_learning", "plain_hsae"])
    for option, default in [
        ("width", 640), ("experts", 16384), ("k", 32), ("subspace", 4), ("sublatents", 16),
        ("batch", 8192), ("threads", os.cpu_count()),
    ]:
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--variant", default="", help="settings of the neighbour, comma-separated")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    variant = set(filter(None, options.variant.split(",")))

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    module = importlib.import_module(f"peer_{options.name}")
    step = module.trainer(options, variant)
    batches = [rows(options.batch, options.width, seed) for seed in range(2)]

    times = []
    begin = time.perf_counter()
    for number in range(1000):
        start = time.perf_counter()
        loss = float(step(number + 1, batches[number % 2]))
        times.append(time.perf_counter() - start)
        if loss != loss:
            sys.exit(f"{options.name}: the loss of step {number + 1} is not a number")
        if number >= 2 and time.perf_counter() - begin > options.seconds:
            break
    seconds = statistics.median(times[1:])
    print(json.dumps({
        "name": options.name, "variant": options.variant, "batch": options.batch,
        "threads": options.threads, "steps": len(times) - 1, "secondsPerStep": seconds,
        "tokensPerSecond": options.batch / seconds,
    }))


if __name__ == "__main__":
    main()
