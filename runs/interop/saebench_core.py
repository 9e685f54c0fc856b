"""SAEBench's core evaluation of exported folders, on the contexts of a store, with a model from a GGUF file.
Called by runs/saebench.sh:

    saebench_core.py GGUF CACHE STORE OUT FOLDER…

Nothing is fetched: SAEBench asks TransformerLens for a model and SAELens for a data set, and this script
answers both. It writes SAEBench's files to OUT, and beside them what the same functions give for all contexts
as one batch, because numbers that depend on the batch can be compared only on that.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformer_lens import HookedTransformer  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "interop/python"))
import hsae_saelens  # noqa: E402,F401
from sae_bench.evals.core import main as core  # noqa: E402
from sae_lens import SAE  # noqa: E402

BATCH = 4


def language_model(gguf, cache, name):
    """The model of a GGUF file as TransformerLens has it, weights unpacked to float32."""
    if not (cache / "tokenizer.json").exists():
        place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        packed = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
        # The weights are plain floats now; TransformerLens refuses a model that is marked as quantized.
        del packed.config.quantization_config
        plain = type(packed)(packed.config)
        plain.load_state_dict(packed.state_dict())
        plain.save_pretrained(cache)
        AutoTokenizer.from_pretrained(**place).save_pretrained(cache)
    return HookedTransformer.from_pretrained_no_processing(
        name, hf_model=AutoModelForCausalLM.from_pretrained(cache, dtype=torch.float32),
        tokenizer=AutoTokenizer.from_pretrained(cache), device="cpu", dtype=torch.float32)


def array(store, name, dtype):
    """A one-dimensional array of a store, all chunks."""
    folder = Path(store, name)
    count = json.loads((folder / "zarr.json").read_text())["shape"][0]
    chunks = sorted((folder / "c").iterdir(), key=lambda file: int(file.name))
    return np.concatenate([np.fromfile(file, dtype) for file in chunks])[:count]


class Contexts:
    """The part of SAELens's ActivationsStore that SAEBench uses: the contexts, a batch at a time."""

    def __init__(self, tokens, batch):
        self.tokens, self.store_batch_size_prompts, self.next = tokens, batch, 0
        self.context_size = tokens.shape[1]

    def get_batch_tokens(self, count=None):
        first, self.next = self.next, self.next + (count or self.store_batch_size_prompts)
        assert self.next <= len(self.tokens), "more batches than contexts"
        return self.tokens[first:self.next]

    def reset_input_dataset(self):
        self.next = 0

    def shuffle_input_dataset(self, seed):
        """Does not shuffle, so that both programs read the same."""


def contexts(store):
    """The store's contexts, each whole and with its BOS: [count, length]."""
    tokens, offsets = array(store, "corpus/tokens", "<i4"), array(store, "corpus/offsets", "<i8")
    lengths = np.diff(offsets)
    assert lengths.min() == lengths.max(), "documents must fill their contexts"
    count = len(lengths) // BATCH * BATCH
    assert count == len(lengths), f"the number of documents must be a multiple of {BATCH}"
    return torch.from_numpy(tokens.reshape(count, -1).astype(np.int64))


def no_cosines(sae):
    """Zeros in place of SAEBench's numbers about latents' weights."""
    names = ["encoder_bias", "encoder_norm", "encoder_decoder_cosine_sim"]
    names += ["max_encoder_cosine_sim", "max_decoder_cosine_sim"]
    return {name: [0.0] * sae.cfg.d_sae for name in names}


def whole(sae, model, tokens):
    """Numbers of rows, all contexts in one batch."""
    special = {model.tokenizer.pad_token_id, model.tokenizer.eos_token_id, model.tokenizer.bos_token_id}
    config = core.CoreEvalConfig(
        batch_size_prompts=len(tokens), n_eval_sparsity_variance_batches=1,
        compute_l2_norms=True, compute_sparsity_metrics=True, compute_variance_metrics=True)
    metrics, _ = core.run_evals(
        sae, Contexts(tokens, len(tokens)), model, config, ignore_tokens=special)
    return {name: value for group in metrics.values() for name, value in group.items()}


def main():
    gguf, cache, store, out = (Path(argument) for argument in sys.argv[1:5])
    folders = [Path(argument) for argument in sys.argv[5:]]
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    tokens = contexts(store)
    # SAEBench expects decoder rows of unit norm.
    saes = {folder.name: SAE.load_from_disk(str(folder), fold_W_dec_norm=True) for folder in folders}
    name = next(iter(saes.values())).cfg.metadata.model_name
    model = language_model(gguf, cache, name)
    # Replace the two loaders that would ask a hub.
    core.HookedTransformer.from_pretrained_no_processing = staticmethod(lambda *_, **__: model)
    core.ActivationsStore.from_sae = staticmethod(lambda *_, **__: Contexts(tokens, BATCH))
    if not os.environ.get("COSINES"):
        # Not compared here, and two products of all latents with all take longer than the rest.
        core.get_featurewise_weight_based_metrics = no_cosines
    core.multiple_evals(
        list(saes.items()), n_eval_reconstruction_batches=len(tokens) // BATCH,
        n_eval_sparsity_variance_batches=len(tokens) // BATCH, eval_batch_size_prompts=BATCH,
        compute_featurewise_density_statistics=True, compute_featurewise_weight_based_metrics=True,
        exclude_special_tokens_from_reconstruction=True, dataset="local", context_size=tokens.shape[1],
        output_folder=str(out), device="cpu", force_rerun=True)

    for name, sae in saes.items():
        (out / f"{name}_one_batch.json").write_text(json.dumps(whole(sae, model, tokens)))


main()
