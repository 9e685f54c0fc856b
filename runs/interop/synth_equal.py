"""Compares hsae's synthetic forests and suite truth with SAELens's own: FOREST ROWS.npy EXPORT EVALUATION.json NAME.

The law: SAELens's generator gets the forest's truth and draws as many rows as ROWS has; rates of features
must agree within sampling error. The numbers: SAELens's evaluator gets the exported dictionary EXPORT, the rows and the
features that fire in them, and must find what hsae evaluate found for the run NAME in EVALUATION. Rows are held-out ones
(hsae synth --write ROWS.npy --held-out). Prints the differences; exits with 1 if one is too large."""

import json
import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from sae_lens import SAE
from sae_lens.evals import ExplainedVarianceCalculator
from sae_lens.synthetic import (
    ActivationGenerator, Hierarchy, HierarchyConfig, HierarchyNode, LowRankCorrelationMatrix, evals, generate_hierarchy,
    hierarchy_modifier, zipfian_firing_probabilities)


def law(path, truth, rows):
    """The largest difference of a feature's rate between SAELens's generator and hsae's rows, in standard errors."""
    with safe_open(path, "np") as file:
        options = json.loads(file.metadata()["law"])
        tensors = {name: torch.from_numpy(file.get_tensor(name)) for name in file.keys()}
    parents, excludes = tensors["parent"].tolist(), tensors["excludes_children"].tolist()
    children = {}
    for feature, parent in enumerate(parents):
        children.setdefault(parent, []).append(feature)

    def node(feature):
        own = [node(child) for child in children.get(feature, [])]
        return HierarchyNode(
            feature_index=feature, children=own, mutually_exclusive_children=bool(excludes[feature]),
            scale_children_by_parent=options["scalesChildren"] and bool(own))

    roots = [node(feature) for feature in children.get(-1, []) if feature in children]
    # What the forest says of itself, by SAELens's functions.
    rates = zipfian_firing_probabilities(
        len(parents), options["zipf"], options["largestRate"], options["smallestRate"])
    factors = Hierarchy(roots=roots, modifier=None).compute_probability_correction_factors(rates)
    expected = (rates * factors).clamp(max=1.0) if options["compensates"] else rates
    theirs = generate_hierarchy(len(parents), HierarchyConfig(
        total_root_nodes=options["roots"], branching_factor=options["branching"], max_depth=options["depth"]))
    tree = [-1] * len(parents)
    queue = list(theirs.roots)
    while queue:
        own = queue.pop()
        for child in own.children:
            tree[child.feature_index] = own.feature_index
            queue.append(child)
    own_error = [
        (tensors["rate"] - rates).abs().max().item(), (tensors["probability"] - expected).abs().max().item()]
    print(f"truth: rates differ by {own_error[0]:.1e}, probabilities by {own_error[1]:.1e}; "
          f"parents are {'equal' if tree == parents else 'DIFFERENT'}; {int((expected >= 1).sum())} probabilities are 1")
    factor = tensors["correlation"]
    generator = ActivationGenerator(
        len(parents), tensors["probability"].clamp(max=1 - 1e-7), tensors["deviation"], tensors["mean"],
        modify_activations=hierarchy_modifier(roots) if roots else None,
        correlation_matrix=LowRankCorrelationMatrix(factor, 1 - (factor**2).sum(1)))
    torch.manual_seed(0)
    theirs, sums = np.zeros(len(parents)), np.zeros(len(parents))
    for start in range(0, rows, 1000):
        acts = generator.sample(min(1000, rows - start)).numpy()
        theirs += (acts > 0).sum(0)
        sums += acts.sum(0)
    ours = np.bincount(truth["features"], minlength=len(parents))
    mine = np.bincount(truth["features"], weights=truth["magnitudes"], minlength=len(parents))
    error = np.sqrt(2 * np.maximum((ours + theirs) / 2, 5))
    print(f"law: {len(parents)} features, {rows} rows; rates differ by {np.abs(ours - theirs).max():.0f} rows, "
          f"{(np.abs(ours - theirs) / error).max():.2f} standard errors; "
          f"features a row {ours.sum() / rows:.3f} and {theirs.sum() / rows:.3f}; "
          f"mean magnitude {mine.sum() / ours.sum():.4f} and {sums.sum() / theirs.sum():.4f}")
    return (np.abs(ours - theirs) / error).max() < 5 and max(own_error) < 1e-4 and tree == parents


def numbers(path, truth, rows, export, evaluation, name):
    with safe_open(path, "np") as file:
        features = torch.from_numpy(file.get_tensor("directions"))
    sae = SAE.load_from_disk(export).requires_grad_(False)
    calculators = dict(
        l0=evals.L0Calculator(), dead=evals.DeadLatentsCalculator(sae.W_dec.shape[0]),
        shrinkage=evals.ShrinkageCalculator(), variance=ExplainedVarianceCalculator(),
        classes=evals.ClassificationMetricsCalculator(sae.W_dec, features))
    with torch.no_grad():
        for start in range(0, len(rows), 2000):
            x = torch.from_numpy(np.array(rows[start:start + 2000], dtype=np.float32))
            acts = torch.zeros(len(x), len(features))
            for row in range(len(x)):
                a, b = truth["offsets"][start + row:start + row + 2]
                acts[row, truth["features"][a:b].astype(np.int64)] = torch.from_numpy(truth["magnitudes"][a:b])
            latents = sae.encode(x)
            rebuilt = sae.decode(latents)
            calculators["l0"].add_batch(latents)
            calculators["dead"].add_batch(latents)
            calculators["shrinkage"].add_batch(rebuilt, x)
            calculators["variance"].add_batch(rebuilt, x)
            calculators["classes"].add_batch(latents, acts)
    classes = calculators["classes"].compute()
    theirs = dict(
        mcc=evals.mean_correlation_coefficient(sae.W_dec, features),
        uniqueness=evals.feature_uniqueness(sae.W_dec, features), precision=classes.precision,
        recall=classes.recall, f1=classes.f1_score, codes_row=calculators["l0"].compute(),
        norm_ratio=calculators["shrinkage"].compute(), explained_variance=calculators["variance"].compute(),
        dead=calculators["dead"].compute() / sae.W_dec.shape[0])
    tree = json.load(open(evaluation))
    run = next(each for each in tree["runs"] if each["name"] == name)
    suite = next(each for each in run["results"] if each["suite"] == "truth")
    ours = {each["key"]: each["value"] for each in suite["numbers"]}
    sound = True
    for key, value in theirs.items():
        difference = abs(ours[key] - value)
        sound &= difference < 1e-4
        print(f"{key:20} hsae {ours[key]:.6f}  SAELens {value:.6f}  difference {difference:.1e}")
    return sound


forest, rows_path, export, evaluation, name = sys.argv[1:]
rows = np.load(rows_path, mmap_mode="r")
truth = load_file(rows_path.removesuffix(".npy") + ".fired.safetensors")
results = [law(forest, truth, len(rows)), numbers(forest, truth, rows, export, evaluation, name)]
sys.exit(0 if all(results) else 1)
