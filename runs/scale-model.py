"""What a training step costs on ranks of one or many machines, by the model of docs/scale.md.

    python3 runs/scale-model.py [BENCH.json BENCH-OF-HALF.json]

Everything is calibrated on one rank: BENCH.json is what `hsae bench --json` printed for m experts on one core,
BENCH-OF-HALF.json the same for half as many. Without them the numbers of dev/LOG.md ("The model of several ranks")
are used. Times of more ranks are predicted; none is fitted.

A rank of a group of R, of G groups, b = B / G rows of a group:
  products   2·b·(m/R)·d + 6·(m/R)·d² operations at the rate of the matrix product
  scores     what encoding takes beyond its product: a part for each score, b·m/R, a part for each row and its list of k
  pairs      b·k/R pairs of row and expert, 4·d·(5 + s) bytes each, at the rate of one rank (most come from caches)
  penalty    f·b·(m/R)·d additions, f the share of latents above the threshold
  rows       38·d bytes for each of b rows at the rate of memory; with R > 1 also 8·d·(R + 2)/R for the sums
  weights    40 bytes for each of p/R parameters at the rate of memory: weights and gradients, Adam. Groups do not share this
  network    the bytes of docs/scale.md at its rate, and its latency for each of 25 exchanges
"""

import json
import sys

# One core of the machine of dev/LOG.md; m 16,384 and 8,192, a 16, s 4, d 640, k 32, batch 32,768, bf16.
ONE = {
    "batch": 32768, "m": 16384, "d": 640, "k": 32, "s": 4, "a": 16, "product": 443.6e9, "memory": 60.9e9,
    "above": 0.2367, "encode": 1.990, "pairs": 1.101, "penalty": 1.953, "update": 0.0623, "step": 5.223,
}
HALF = {"batch": 4096, "m": 8192, "encode": 0.1474}
BOTH_MEMORY = 66.9e9  # Adam's pass on both cores at once, two processes
COPY = 10e9  # bytes a second from one process to another on one machine
MEASURED = {1: 5.11, 2: 2.92, 4: 3.26}  # runs/scale.sh; four ranks on the two cores


def read(path):
    r = json.load(open(path))
    p, shape = r["phases"], r["shape"]
    return {
        "batch": r["batch"], "m": shape["experts"], "d": shape["width"], "k": shape["activeExperts"],
        "s": shape["subspace"], "a": shape["sublatents"], "product": r["productRate"],
        "memory": r["bandwidth"], "above": r["aboveThreshold"], "encode": p["encode"],
        "pairs": p["group"] + p["forward"] + p["backward"], "penalty": p["penalty"],
        "update": p["update"], "step": r["secondsPerStep"],
    }


def parameters(m, d, s, a):
    return m * (2 * (1 + s) * d + 2 * a * s)


def calibrate(one, half):
    """Seconds of one unit of each kind of work, on one core."""
    b, m, d, k, s = (one[n] for n in ("batch", "m", "d", "k", "s"))
    # Of a row: what encoding takes beyond its product, with m and with half as many.
    beyond = [c["encode"] / c["batch"] - 2 * c["m"] * d / one["product"] for c in (one, half)]
    score = max(0.0, (beyond[0] - beyond[1]) / (m - half["m"]))
    p = parameters(m, d, s, one["a"])
    passes = (12 * p + 38 * b * d) / one["memory"]
    return {
        "score": score,
        "list": beyond[0] - score * m,
        "pair": (one["pairs"] - passes) / (b * k * 4 * d * (5 + s)),
        "addition": one["penalty"] / (one["above"] * b * m * d),
        "product": 1 / one["product"],
    }


def step(c, machine, B, m, a, s, d, k, above, R, G):
    """Seconds of a step by kind of work; `machine` says how many cores of `c` and what memory and network it has."""
    b, p = B / G, parameters(m, d, s, a)
    others, groups = (R - 1) / R, (G - 1) / G
    cores = machine["cores"]
    rows = 38 * b * d + (8 * b * d * (R + 2) / R if R > 1 else 0)
    within = (4 * b * (2 * k + 3) + 12 * b * d + 16 * d * d) * others
    between = 8 * (p + m * (1 + a)) / R * groups
    rank = {
        "products": (2 * b * m / R * d + 6 * m / R * d * d) * c["product"] / machine["matrix"] / cores,
        "scores": (b * m / R * c["score"] + b * c["list"]) / machine["core"] / cores,
        "pairs": b * k / R * 4 * d * (5 + s) * c["pair"] / machine["core"] / cores,
        "penalty": above * b * m / R * d * c["addition"] / machine["core"] / cores,
        "rows": rows / machine["memory"],
        "weights": 40 * p / R / machine["memory"],
        "within": within / machine["network"] + (25 * machine["latency"] if R * G > 1 else 0),
        "between": between / machine["network"],
    }
    return rank


def here(one, c):
    sizes = [one[n] for n in ("batch", "m", "a", "s", "d", "k", "above")]
    print("Here, a core a rank, four ranks two to a core:\n")
    print("| ranks | products | scores | pairs | penalty | rows, weights | exchanges | model | measured | error |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for ranks in (1, 2, 4):
        machine = {
            "cores": min(1, 2 / ranks), "matrix": 1, "core": 1, "latency": 1e-5, "network": COPY,
            "memory": one["memory"] if ranks == 1 else BOTH_MEMORY / ranks,
        }
        t = step(c, machine, *sizes, ranks, 1)
        total = sum(t.values())
        print(
            f"| {ranks} | {t['products']:.2f} | {t['scores']:.2f} | {t['pairs']:.2f} | {t['penalty']:.2f} | "
            f"{t['rows'] + t['weights']:.2f} | {t['within'] + t['between']:.2f} | {total:.2f} | {MEASURED[ranks]:.2f} | "
            f"{100 * (total / MEASURED[ranks] - 1):+.0f} % |"
        )


# AWS hpc7a.96xlarge. Published: 192 Zen 4 cores, 768 GiB, 300 Gbit/s (EFA), two sockets of twelve channels of DDR5-4800
# (921 GB/s). Assumed: a core's matrix rate 0.4 of the one measured (Zen 4 has half the width of Zen 5, and a lower
# clock with all cores at work), its other work 0.5, memory 0.7 and network 0.8 of the published rates, 30 µs an exchange.
NODE = {"cores": 192, "matrix": 0.4, "core": 0.5, "memory": 0.7 * 921e9, "network": 0.8 * 37.5e9, "latency": 3e-5}


def paper(c):
    B, m, a, s, d, k, above = 32_512, 32_768, 64, 8, 2304, 32, 0.05
    steps = 4e9 / B
    print(f"\nThe paper's largest run, batch {B}, {steps:,.0f} steps, a rank a node of hpc7a.96xlarge:\n")
    print("| nodes | groups × ranks | products | scores, pairs, penalty | rows, weights | within groups | between | step |"
          " hours | reads, GB/s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for nodes in (8, 32, 128):
        splits = [(R, nodes // R) for R in (1, 2, 4, 8, 16, 32, 64, 128) if R <= nodes]
        times = {split: step(c, NODE, B, m, a, s, d, k, above, *split) for split in splits}
        for split in sorted(splits, key=lambda split: sum(times[split].values()))[:2]:
            t = times[split]
            total = sum(t.values())
            # 16 bits an element, once for each group, and by each rank of it.
            once = B * d * 2 / total / 1e9
            print(
                f"| {nodes} | {split[1]} × {split[0]} | {1e3 * t['products']:.1f} | "
                f"{1e3 * (t['scores'] + t['pairs'] + t['penalty']):.1f} | {1e3 * (t['rows'] + t['weights']):.1f} | "
                f"{1e3 * t['within']:.1f} | {1e3 * t['between']:.1f} | {1e3 * total:.1f} ms | {steps * total / 3600:.1f} | "
                f"{once:.1f}; {once * split[0]:.0f} |"
            )


def main():
    one, half = ONE, HALF
    if len(sys.argv) not in (1, 3) or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit("usage: runs/scale-model.py [BENCH.json HALF-THE-EXPERTS.json], of hsae bench --json")
    if len(sys.argv) > 1:
        one, half = read(sys.argv[1]), read(sys.argv[2])
    c = calibrate(one, half)
    print(
        f"A score {1e9 * c['score']:.2f} ns, a row's list {1e6 * c['list']:.1f} µs, pairs {1e-9 / c['pair']:.1f} GB/s, "
        f"penalty {1e-9 / c['addition']:.1f} G additions/s, Adam {28e-9 * parameters(one['m'], one['d'], one['s'], one['a']) / one['update']:.1f}"
        f" of {one['memory'] / 1e9:.1f} GB/s\n"
    )
    here(one, c)
    paper(c)


main()
