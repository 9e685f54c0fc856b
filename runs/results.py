"""Prints the tables of runs/truth.sh and runs/whitening.sh, one for each suite, and draws the figures of their pages.

    python3 runs/results.py FOLDER --kinds NAME… --seeds SEED… [--figure NAME SUITE KEY TITLE]…
    python3 runs/results.py FEATURES --hierarchies 10

It reads FOLDER/SUITE-*.json, which `hsae evaluate --out` wrote; runs are named KIND-seedSEED. With the suite truth, FOLDER gets
truth-edges.svg, truth-f1.svg and truth-mcc.svg. `--figure` draws FOLDER/NAME.svg of one number of a suite. `--hierarchies` lists so many random experts, not chosen by
anybody, of each run in the folder that `hsae explain` wrote.
"""

import argparse
import json
import math
import random
import re
import sqlite3
from html import escape
from pathlib import Path

# The columns of each suite's table: key, title, decimals. A column without numbers is left out.
PROBES = [f"k{k}{level}" for k in (1, 2, 5) for level in ("", "_random", "_both", "_both_random")] + ["dense"]
COLUMNS = {
    "truth": [
        ("codes_row", "codes", 1), ("explained_variance", "EV", 3), ("mcc", "MCC", 3), ("f1", "F1", 3),
        ("precision", "precision", 3), ("recall", "recall", 3), ("uniqueness", "uniqueness", 3), ("mcc_both", "MCC both", 3),
        ("f1_sublatents", "F1 sub", 3), ("edge_precision_tree", "tree: right", 3), ("edge_precision_tree_chance", "tree: chance", 3),
        ("edge_recall_tree", "tree: found", 3), ("edge_precision_coactivation", "coactivation: right", 3),
        ("edge_recall_coactivation", "coactivation: found", 3), ("edge_precision_clusters", "clusters: right", 3),
        ("edge_recall_clusters", "clusters: found", 3), ("dead", "dead", 3)],
    "core": [
        ("codes_row", "codes", 1), ("l0", "L0", 1), ("l0_sublatents", "sublatents", 1), ("explained_variance", "EV", 3),
        ("explained_variance_whitened_activations", "EV by activations", 3),
        ("explained_variance_whitened_unembedding", "EV by unembedding", 3),
        ("explained_variance_top_level", "EV top", 3), ("ce_loss_score", "CE loss score", 3),
        ("ce_loss_score_top_level", "CE top", 3), ("kl_div_score", "KL score", 3), ("dead_latents", "dead", 3),
        ("dead_sublatents", "dead sub", 3)],
    "probing": [("codes_row", "codes", 1)] + [
        (f"{metric}_{probe}", f"{title} {probe.replace('_', ' ')}", 3)
        for metric, title in (("auc", "AUC"), ("accuracy", "accuracy")) for probe in PROBES],
    "structure": [("codes_row", "codes", 1)] + [
        (f"{key}_{rule}{chance}", f"{rule}: {chance[1:] or title}", 3)
        for rule in ("tree", "coactivation") for key, title in (
            ("coverage", "coverage"), ("soft_absorption", "soft absorption"), ("sibling_similarity", "siblings’ cosine"),
            ("reconstruction_condition", "reconstruction condition"))
        for chance in ("", "_chance")] + [
        ("composition", "composition", 3), ("meta_structure", "meta-structure", 3),
        ("decoder_projection", "decoder projection", 3), ("seed_agreement", "agreement of seeds", 3)],
    "hierarchy": [("codes_row", "codes", 1), ("taxonomy_score", "WordNet score", 3), ("taxonomy_score_shuffled", "shuffled", 3)] + [
        (f"{key}{part}", f"{title}{part and ', ' + part[1:]}", 3)
        for key, title in (
            ("parent_purity", "purity"), ("sublatent_purity", "sublatents’ purity"), ("topic_information", "topic information"))
        for part in ("", "_shuffled", "_excess")],
    "absorption": [("codes_row", "codes", 1)] + [
        (f"mean_{key}{part}", f"{title}{part and ', both'}", 3)
        for key, title in (
            ("absorption_fraction", "absorption fraction"), ("full_absorption", "full absorption"), ("split_f1", "F1 of a letter"))
        for part in ("", "_with_sublatents")],
    "crosslingual": [("codes_row", "codes", 1), ("difference", "difference", 2)] + [
        (f"difference_{a}_{b}", f"{a}–{b}", 2)
        for a, b in (("en", "fr"), ("en", "es"), ("en", "de"), ("fr", "es"), ("fr", "de"), ("es", "de"))],
}
NAMES = {
    "flat": "flat TopK", "wide": "flat TopK, five times as wide", "batchtopk": "flat BatchTopK",
    "matryoshka": "Matryoshka BatchTopK", "jumprelu": "flat JumpReLU", "frozen": "decoder frozen",
    "cosine": "decoder within cosine 0.8"}
# Colours of Sources/HSAEHTML/Figure.swift. Marks also differ in form.
COLOURS = {"hierarchical": "#0d6a5f", "flat": "#b3602a", "control": "#a8406f"}
FORMS = {"hierarchical": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z", "flat": "M-4.5 -4.5H4.5V4.5H-4.5Z", "control": "M0 -6L6 0L0 6L-6 0Z"}
GREY = "#5d5850"


def read(folder, kinds, seeds):
    """The numbers of each suite, kind and seed, results[suite][kind][seed][key]; and which direction is better, by key."""
    files = [file for suite in COLUMNS for file in folder.glob(f"{suite}-*.json")]
    results, better = {}, {}
    for file in sorted(files):
        for run in json.loads(file.read_text(encoding="utf-8"))["runs"]:
            kind, _, seed = run["name"].rpartition("-seed")
            if kind in kinds and seed in seeds:
                for result in run["results"]:
                    # A number that cannot be computed is the string "NaN".
                    numbers = {n["key"]: float("nan" if n["value"] is None else n["value"]) for n in result["numbers"]}
                    results.setdefault(result["suite"], {}).setdefault(kind, {})[seed] = numbers
                    better |= {n["key"]: n["better"] for n in result["numbers"] if n.get("better")}
    return results, better


def values(by_seed, key):
    """A number of each seed where it is finite."""
    return [numbers[key] for numbers in by_seed.values() if math.isfinite(numbers.get(key, math.nan))]


def mean(found):
    return sum(found) / len(found) if found else math.nan


def spread(found, digits, seeds):
    """A mean with the smallest and the largest value, and the number of seeds if some are missing."""
    if not found:
        return ""
    notes = [f"{min(found):.{digits}f}–{max(found):.{digits}f}"] if len(found) > 1 else []
    if len(found) < seeds:
        notes.append(f"{len(found)} of {seeds} seeds")
    return f"{mean(found):.{digits}f}" + (f" ({'; '.join(notes)})" if notes else "")


def table(suite, columns, kinds, results, better, seeds):
    columns = [c for c in columns if any(values(results[kind], c[0]) for kind in kinds)]
    if not columns:
        return
    print(f"\n{suite}:\n\n| dictionary |", " | ".join(title for _, title, _ in columns), "|")
    print("|---" * (1 + len(columns)) + "|")
    marked = False
    for kind in kinds:
        cells = []
        for key, _, digits in columns:
            found = values(results[kind], key)
            sign = {"higher": 1, "lower": -1}.get(better.get(key), 0)
            controls = [values(results[k], key) for k in kinds if group(k) == "control"]
            mark = (found and group(kind) != "control"
                    and any(c and sign * mean(c) >= sign * mean(found) for c in controls if sign))
            cells.append(spread(found, digits, seeds) + (" †" if mark else ""))
            marked = marked or mark
        print(f"| {kind} | {' | '.join(cells)} |")
    if marked:
        print("\n† A control does as well.")


def label(kind):
    """The name of a dictionary for readers; an unknown one is as it is."""
    space = re.fullmatch(r"(flat|h)-(none|activations|unembedding)(_original)?", kind)
    if space:
        by = "not whitened" if space[2] == "none" else f"by {space[2]}"
        return f"{'H-SAE' if space[1] == 'h' else 'flat'}, {by}{', original errors' if space[3] else ''}"
    parts = re.fullmatch(r"(?:h(\d+)(?:s(\d+))?|([a-z]+))(-bk)?-([\d.]+)(?:-sub-([\d.]+))?", kind)
    if not parts or not (parts[1] or parts[3] in NAMES):
        return kind
    name = f"H-SAE {parts[1]} × {parts[2] or parts[1]}" if parts[1] else NAMES[parts[3]]
    codes = parts[5] + (f" + {parts[6]}" if parts[6] else "")
    return f"{name}{', BatchTopK' if parts[4] else ''}, {'target' if parts[3] == 'jumprelu' else 'k'} {codes}"


def group(kind):
    if kind.startswith(("frozen", "cosine")):
        return "control"
    return "hierarchical" if re.match(r"h[\d-]", kind) else "flat"


def axis(high, steps):
    """Round values from 0 to `high` or more, in at most so many steps."""
    power = 10 ** math.floor(math.log10(high / steps))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power * steps >= high * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(high / step * 0.999) + 1)]


def figure(title, rows, panels, value_head, seeds, *remarks):
    """A line for each dictionary, with a mark for each panel; None if there is no number.

    A row has a kind, a note, and for each panel its values over seeds, those of chance, and their text. `remarks` stand below.
    """
    if not any(found for _, _, cells in rows for found, _, _ in cells):
        return None
    width, top, height = 760, 66, 34
    names = []
    for kind, note, _ in rows:
        notes = ["control" if group(kind) == "control" else "", note]
        names.append((label(kind), "; ".join(filter(None, notes))))
    texts = max(len(cells[p][2]) for _, _, cells in rows for p in range(len(panels)))
    left = 24 + max(max(6.7 * len(name), 6 * len(note)) for name, note in names)
    column = 28 + 6.3 * max(texts, len(value_head))
    plot = max(120, (width - left - 8) / len(panels) - column)
    width = left + 8 + len(panels) * (plot + column)
    bottom = top + height * len(rows)
    body, spoken = [], [[] for _ in rows]

    def text(x, y, words, **attributes):
        more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
        body.append(f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(words)}</text>')

    def path(d, **attributes):
        more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
        body.append(f'<path d="{d}"{more}/>')

    def mark(x, y, kind):
        path(FORMS[kind], transform=f"translate({x:.1f} {y:.1f})", fill=COLOURS[kind])

    for line, (kind, _, _) in enumerate(rows):
        y = top + height * (line + 0.5)
        colour = COLOURS["control"] if group(kind) == "control" else "#1e1c19"
        name, note = names[line]
        text(left - 14, y + (-1 if note else 4), name, text_anchor="end", fill=colour)
        if note:
            text(left - 14, y + 12, note, text_anchor="end", font_size="10.5", fill=colour if group(kind) == "control" else GREY)
        if line:
            path(f"M16 {y - height / 2:.1f}H{width - 16:.1f}", stroke="#f0ece3")
    for p, name in enumerate(panels):
        start = left + p * (plot + column)
        high = max((v for _, _, cells in rows for part in cells[p][:2] for v in part), default=0)
        ticks = axis(high if high > 1e-3 else 1, 5 if plot > 250 else 3)

        def x(value):
            return start + plot * min(1, max(0, value / ticks[-1]))

        for tick in ticks:
            path(f"M{x(tick):.1f} {top}V{bottom}", stroke="#e5e0d5")
            text(x(tick), bottom + 16, f"{tick:g}", text_anchor="middle", font_size="11")
        text(start + plot / 2, bottom + 34, name, text_anchor="middle")
        text(start + plot + 14, top - 8, value_head, font_size="10.5")
        controls = [mean(cells[p][0]) for kind, _, cells in rows if group(kind) == "control" and cells[p][0]]
        if controls:
            best = max(controls)
            path(f"M{x(best):.1f} {top - 4}V{bottom}", stroke=COLOURS["control"], stroke_width="1.3", stroke_dasharray="4 3")
            place = min(max(x(best), start + 30), start + plot - 30)
            text(place, top - 8, "best control", text_anchor="middle", font_size="10.5", fill=COLOURS["control"])
        for line, (kind, _, cells) in enumerate(rows):
            y = top + height * (line + 0.5)
            found, chance, words = cells[p]
            colour = COLOURS[group(kind)]
            if chance:
                path(f"M{x(mean(chance)):.1f} {y - 9:.1f}v18", stroke=GREY, stroke_width="2")
            if len(found) > 1:
                for value in found:
                    body.append(f'<circle cx="{x(value):.1f}" cy="{y + 10:.1f}" r="2" fill="{colour}" fill-opacity="0.7"/>')
            if found:
                mark(x(mean(found)), y - (2 if len(found) > 1 else 0), group(kind))
            text(start + plot + 14, y + 4, words or "–", font_size="11", fill=colour)
            spoken[line].append(f"{name} {words or 'not measured'}")
    # The legend.
    place, y = 16, bottom + 62
    for kind in COLOURS:
        if any(group(row[0]) == kind for row in rows):
            mark(place + 6, y - 4, kind)
            text(place + 18, y, kind)
            place += 40 + 7 * len(kind)
    if any(chance for _, _, cells in rows for _, chance, _ in cells):
        path(f"M{place + 6} {y - 12}v16", stroke=GREY, stroke_width="2")
        text(place + 14, y, "chance: children shuffled")
    marks = f"Large marks are means over seeds ({seeds} where no other number is given), small dots each seed."
    for line in ("One seed." if seeds == 1 else marks, *remarks):
        y += 20
        text(16, y, line)
    alt = ". ".join(
        f"{name}{f' ({note})' if note else ''}: {'; '.join(spoken[line])}" for line, (name, note) in enumerate(names))
    alt = f"{title}. Values: {value_head}. {alt}."
    drawn = "\n".join(body)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {y + 16}" \
font-family="system-ui,sans-serif" font-size="12" fill="{GREY}" role="img" aria-label="{escape(alt)}">
<title>{escape(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="26" font-size="15" font-weight="600" fill="#1e1c19">{escape(title)}</text>
{drawn}
</svg>
"""


def missing(found, seeds):
    return f"{len(found)} of {seeds} seeds" if 0 < len(found) < seeds else ""


def plain(kinds, results, key, seeds):
    """The rows of a figure of one number."""
    rows = []
    for kind in kinds:
        found = values(results[kind], key)
        rows.append((kind, missing(found, seeds), [(found, [], spread(found, 3, len(found)))]))
    return rows


def edges(kinds, results, seeds):
    """The rows of the figure of edges: the own tree, or the better rule of a flat dictionary."""
    rows = []
    for kind in kinds:
        by_seed = results[kind]

        def score(rule):
            right, found = (mean(values(by_seed, f"edge_{part}_{rule}")) for part in ("precision", "recall"))
            return 2 * right * found / (right + found) if right + found > 0 else 0

        has_tree = any("edge_precision_tree" in numbers for numbers in by_seed.values())
        rule = "tree" if has_tree else max(("clusters", "coactivation"), key=score)
        cells = []
        for part in ("precision", "recall"):
            found = values(by_seed, f"edge_{part}_{rule}")
            chance = values(by_seed, f"edge_{part}_{rule}_chance")
            words = f"{mean(found):.3f}" + (f" ({mean(chance):.3f})" if chance else "") if found else ""
            cells.append((found, chance, words))
        measured = [found for found, _, _ in cells if found]
        notes = ["own tree" if has_tree else rule, missing(min(measured, key=len), seeds)] if measured else []
        rows.append((kind, "; ".join(filter(None, notes)), cells))
    return rows


def hierarchies(folder, count):
    """Prints random live experts of each run with the words of the expert and of its three most active sublatents."""
    database = sqlite3.connect(folder / "features.sqlite")

    def words(text, most):
        return ", ".join(f"`{word.replace('|', chr(0x2758))}`" for word in (text or "").split("\n")[:most] if word) or "–"

    for run, name, rows in database.execute("SELECT id, name, rows FROM run WHERE sublatents > 0 ORDER BY id").fetchall():
        experts = [row[0] for row in database.execute(
            "SELECT expert FROM latent WHERE run = ? AND sublatent = -1 AND fired > 0 ORDER BY expert", (run,))]
        print(f"\n{name}:\n\n| expert | active for | its strongest words | its sublatents |\n|---|---|---|---|")
        for expert in sorted(random.Random(0).sample(experts, min(count, len(experts)))):
            own = database.execute(
                "SELECT sublatent, fired, words FROM latent WHERE run = ? AND expert = ? AND fired > 0"
                " ORDER BY sublatent = -1 DESC, fired DESC LIMIT 4", (run, expert)).fetchall()
            parts = [f"{fired / own[0][1]:.0%}: {words(text, 4)}" for _, fired, text in own[1:]]
            print(f"| {expert} | {own[0][1] / rows:.2%} | {words(own[0][2], 6)} | {'<br>'.join(parts)} |")


def main():
    parser = argparse.ArgumentParser(description="Tables and figures of runs/truth.sh and runs/whitening.sh.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", nargs="+", default=[])
    parser.add_argument("--seeds", nargs="+", default=[])
    parser.add_argument("--hierarchies", type=int)
    parser.add_argument("--figure", nargs=4, action="append", default=[], metavar=("NAME", "SUITE", "KEY", "TITLE"))
    given = parser.parse_args()
    if given.hierarchies:
        return hierarchies(given.folder, given.hierarchies)
    results, better = read(given.folder, given.kinds, given.seeds)
    seeds = len(given.seeds)
    for suite, columns in COLUMNS.items():
        if suite in results:
            table(suite, columns, [k for k in given.kinds if k in results[suite]], results[suite], better, seeds)
    value, value_range = ("mean", "mean (range)") if seeds > 1 else ("value", "value")
    for name, suite, key, title in given.figure:
        own = results.get(suite, {})
        svg = figure(title, plain([k for k in given.kinds if k in own], own, key, seeds), [title], value_range, seeds)
        if svg:
            (given.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    truth = results.get("truth", {})
    kinds = [k for k in given.kinds if k in truth]
    if not kinds:
        return
    figures = {
        "edges": figure(
            "Edges between parents and children", edges(kinds, truth, seeds),
            ["edges that are right, share", "possible edges that are found, share"], f"{value} (chance)", seeds,
            "A flat dictionary has no tree of its own: its edges are those of the better rule, clusters or coactivation."),
        "f1": figure(
            "F1 of latents as detectors of a feature", plain(kinds, truth, "f1", seeds),
            ["F1, mean over top-level latents"], value_range, seeds),
        "mcc": figure(
            "Correlation of latents with features (MCC)", plain(kinds, truth, "mcc", seeds),
            ["MCC, mean |cosine| of top-level latents and features"], value_range, seeds),
    }
    for name, svg in figures.items():
        if svg:
            (given.folder / f"truth-{name}.svg").write_text(svg, encoding="utf-8")


main()
