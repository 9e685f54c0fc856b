"""A dashboard of some latents of an exported folder, and what steering tools do: ablate a latent in the model.
Called by runs/dashboards.sh:

    dashboards.py MODEL FOLDER

MODEL is the language model as runs/saebench.sh left it. Fails if sublatents are active without their expert.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from sae_dashboard.sae_vis_data import SaeVisConfig  # noqa: E402
from sae_dashboard.sae_vis_runner import SaeVisRunner  # noqa: E402
from sae_lens import SAE, HookedSAETransformer  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

TEXT = "The old library is situated in the town centre of Lyon, on the river, and the dog sleeps."


def main():
    path, folder = sys.argv[1:3]
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    sys.path.insert(0, folder)
    if os.path.exists(os.path.join(folder, "hsae_saelens.py")):
        import hsae_saelens  # noqa: F401
    sae = SAE.load_from_disk(folder)
    model = HookedSAETransformer.from_pretrained_no_processing(
        sae.cfg.metadata.model_name,
        hf_model=AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32),
        tokenizer=AutoTokenizer.from_pretrained(path), device="cpu", dtype=torch.float32)
    hook = sae.cfg.metadata.hook_name
    tokens = model.to_tokens(TEXT)[:, :16]

    with torch.no_grad():
        logits, cache = model.run_with_cache_with_saes(tokens, saes=[sae])
        acts = cache[f"{hook}.hook_sae_acts_post"][0]
        latents = [int(acts[5].argmax())]
        if m := getattr(sae.cfg, "n_experts", 0):
            a = sae.cfg.n_sublatents
            active = [(place, sae.expert_of(m + child)) for place, child in (acts[:, m:] != 0).nonzero().tolist()]
            assert a and active and all(acts[place, expert] > 0 for place, expert in active), "parent gating is gone"
            latents = [active[0][1], m + int(acts[active[0][0], m:].abs().argmax())]

        def ablate(acts, hook):
            acts[..., latents[0]] = 0
            return acts

        point = f"{hook}.hook_sae_acts_post"
        without = model.run_with_hooks_with_saes(tokens, saes=[sae], fwd_hooks=[(point, ablate)])
        before = sae.decode(sae.encode(torch.randn(8, sae.cfg.d_in, generator=torch.Generator().manual_seed(0))))

    config = SaeVisConfig(
        hook_point=hook, features=latents, minibatch_size_features=2, minibatch_size_tokens=4, device="cpu",
        dtype="float32")
    data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens.repeat(8, 1))
    # The dashboard has folded decoder norms, which must change no reconstruction.
    with torch.no_grad():
        after = sae.decode(sae.encode(torch.randn(8, sae.cfg.d_in, generator=torch.Generator().manual_seed(0))))
    norms = sae.W_dec.norm(dim=1)
    print(
        f"{folder}: latents {list(data.feature_data_dict)} have dashboards; ablating the first moves logits by up to "
        f"{(without - logits).abs().max():.2g}; folding changes reconstructions by "
        f"{(after - before).norm() / before.norm():.1e}, decoder norms are then 1 ± {(norms - 1).abs().max():.0e}")


main()
