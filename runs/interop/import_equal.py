"""Whether hsae computes from imported runs what SAELens and sparsify compute: codes and reconstructions of the
same rows, as a table. Called by runs/import.sh with the rows (float32 .npy) and triples FOLDER RUN CODES, CODES being
the output of `hsae encode RUN --reconstruct`. Exits with 1 if a relative error exceeds 1e-5, or a single difference 1e-5
of the largest number of its row (of the median row's, where the row's is smaller: float32 rounds a weak code of a long
row by more). Leaves out rows in which a latent is at its threshold or two tie (at most 1 in 100)."""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file


def open_source(folder):
    """The tool's name and a function from rows to dense codes and reconstructions."""
    if (folder / "sae.safetensors").exists():
        from sparsify.sparse_coder import SparseCoder

        coder = SparseCoder.load_from_disk(folder)

        def both(x):
            out = coder.encode(x)
            codes = torch.zeros(len(x), coder.num_latents).scatter_(1, out.top_indices, out.top_acts)
            return codes, coder.decode(out.top_acts, out.top_indices)

        return "sparsify", both
    if (folder / "trainer_state.pt").exists():
        sae, scaler = open_checkpoint(folder)
    else:
        sae, scaler = open_gemma(folder) or open_saved(folder), None

    def both(x):
        shaped = scaler.scale(x) if scaler else x
        if sae.cfg.reshape_activations == "hook_z":
            shaped = shaped.reshape(len(x), 4, -1)
        codes = sae.encode(shaped)
        codes = codes.to_dense() if codes.is_sparse else codes
        back = sae.decode(codes).reshape(x.shape)
        return codes, scaler.unscale(back) if scaler else back

    return type(sae).__name__, both


def open_saved(folder):
    from sae_lens import SAE

    return SAE.load_from_disk(folder, dtype="float32")


def open_checkpoint(folder):
    """A checkpoint of SAELens's trainer as it would be saved for inference, and the scaling of its rows, not folded."""
    from sae_lens.saes.sae import TrainingSAE
    from sae_lens.training.activation_scaler import ActivationScaler

    scaler = ActivationScaler()
    scaler.load(folder / "activation_scaler.json")
    with tempfile.TemporaryDirectory() as saved:
        TrainingSAE.load_from_disk(folder).save_inference_model(saved)
        return open_saved(Path(saved)), scaler


def open_gemma(folder):
    """Files of Gemma Scope through SAELens's loaders, which find them here instead of on the Hub; else None."""
    from sae_lens import SAE
    from sae_lens.loading import pretrained_sae_loaders as loaders

    parts = list(folder.parts)
    if "google" not in parts:
        return None
    start = parts.index("google")
    repository, inside = "/".join(parts[start : start + 2]), "/".join(parts[start + 2 :])

    def find(repo_id, filename, subfolder="", **_):
        return str(Path(*parts[:start], repo_id, subfolder, filename))

    def shapes(repo_id, filename):
        with safe_open(find(repo_id, filename), "np") as file:
            return {key: list(file.get_slice(key).get_shape()) for key in file.keys()}

    loaders.hf_hub_download, loaders.get_safetensors_tensor_shapes = find, shapes
    if (folder / "params.npz").exists():
        # The loader knows the sizes of the models alone.
        width, latents = np.load(folder / "params.npz")["W_enc"].shape
        load, sizes = loaders.gemma_2_sae_huggingface_loader, {"d_in": width, "d_sae": latents}
    else:
        load, sizes = loaders.gemma_3_sae_huggingface_loader, {}

    def convert(path, device, cfg_overrides):
        return load(repository, inside, device, cfg_overrides=sizes)[:2]

    return SAE.load_from_disk(folder, converter=convert)


def own_scale(rows, normalize):
    """Each row's factor and shift from the scale in which hsae reconstructs it to that of the tool."""
    if normalize == "unit":
        return np.linalg.norm(rows, axis=1, keepdims=True), 0
    if normalize == "layer-norm":
        # SAELens divides by the deviation plus 1e-5, and multiplies with the deviation.
        wide = rows.astype(np.float64)
        factor = wide.std(axis=1, ddof=1, keepdims=True) * (rows.shape[1] - 1) ** 0.5
        return factor, wide.mean(axis=1, keepdims=True)
    return 1, 0


def compare(x, folder, run, path):
    """Relative errors of codes and reconstructions, and what the table says beside them."""
    config = json.load(open(f"{run}/config.json"))
    origin, latents = config["origin"], config["shape"]["experts"]
    scale = np.full(latents, origin["codeScale"])
    gate = Path(run) / "checkpoints/step-00000000/gate.safetensors"
    if gate.exists():
        scale = load_file(gate).get("code_scale", scale)
    name, both = open_source(Path(folder))
    factor, shift = own_scale(x, config["normalize"])
    squares, errors, sizes, ties, gap, active = [0.0] * 4, ([], []), ([], []), 0, 0.0, 0
    with open(path) as file, torch.no_grad():
        for start in range(0, len(x), 500):
            part = slice(start, start + 500)
            lines = [json.loads(file.readline()) for _ in x[part]]
            codes = np.zeros((len(lines), latents))
            for index, line in enumerate(lines):
                for latent in line["latents"]:
                    codes[index, latent[0]] = latent[1]
            own = np.array([line["reconstruction"] for line in lines])
            own = own * (factor[part] if np.ndim(factor) else 1) + (shift[part] if np.ndim(shift) else 0)
            theirs, back = (t.numpy().astype(np.float64) for t in both(torch.from_numpy(x[part])))
            theirs *= scale
            active += int((theirs != 0).sum())
            differs = (codes != 0) != (theirs != 0)
            tied = differs.any(axis=1)
            ties += int(tied.sum())
            # Of two that tie one is here and the other there.
            gap = max(gap, 0, *(np.abs(np.where(differs, codes - theirs, 0).sum(axis=1))[tied]
                                / np.maximum(theirs, codes).max(axis=1)[tied]))
            same = ~tied
            for place, (ours, right) in enumerate([(codes, theirs), (own, back)]):
                error, size = (ours - right)[same], right[same]
                squares[2 * place] += float((error**2).sum())
                squares[2 * place + 1] += float((size**2).sum())
                errors[place].extend(np.abs(error).max(axis=1))
                sizes[place].extend(np.abs(size).max(axis=1))
    if active == 0:
        sys.exit(f"{folder}: no latent is ever active, so there is nothing to compare")
    # Where no row has the same active latents, nothing was compared.
    codes, rows = ((squares[i] / squares[i + 1]) ** 0.5 if squares[i + 1] else np.inf for i in (0, 2))
    largest = [max(np.array(e) / np.maximum(s, np.median(s)), default=np.inf) for e, s in zip(errors, sizes)]
    return SimpleNamespace(
        tool=name, active=active / len(x), errors=(codes, rows), largest=largest, ties=ties, gap=gap)


def main():
    warnings.simplefilter("ignore")
    x = np.load(sys.argv[1])
    triples = list(zip(sys.argv[2::3], sys.argv[3::3], sys.argv[4::3]))
    print(f"{len(triples)} SAEs, {len(x)} rows. Relative errors of codes and of reconstructions; the largest difference,"
          " as a share of the row's largest number; rows with other active latents, whose codes differ by `gap` of the"
          " strongest")
    print("| SAE | opened by | active | codes | largest | reconstructions | largest | other | gap |")
    print("|---|---|---|---|---|---|---|---|---|")
    failed = []
    for folder, run, path in triples:
        found = compare(x, folder, run, path)
        is_equal = max(*found.errors, *found.largest) <= 1e-5 and found.ties <= len(x) / 100
        numbers = " | ".join(f"{v:.1e}" for pair in zip(found.errors, found.largest) for v in pair)
        print(f"| {Path(run).name} | {found.tool} | {found.active:.1f} | {numbers} | {found.ties} | {found.gap:.1e} |"
              f"{'' if is_equal else ' DIFFERS'}", flush=True)
        if not is_equal:
            failed.append(Path(run).name)
    sys.exit(f"{len(failed)} differ: {', '.join(failed)}" if failed else 0)


main()
