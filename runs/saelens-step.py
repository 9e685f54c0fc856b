"""One training step as SAELens computes it: losses, gradients, codes and thresholds of given weights on given rows,
from SAELens's own training classes in float64. Writes the fixture that tests compare hsae's steps with.

  $(runs/peers/python.sh) runs/saelens-step.py [FILE]      default Tests/HSAEModelsTests/Fixtures/saelens-step.json

It fails if the formulas below, written by hand in NumPy, give other numbers, if float32 selects other latents than
float64, or if two candidates of a selection are so close that rounding could decide.

Fields of the file. Matrices are flat, row by row; numbers have 9 digits; inputs were rounded before use.
  width, latents, rows     d = 8, m = 24, n = 32
  batches                  three batches, n × d
  weights.NAME             W_enc (d × m), W_dec (m × d), b_enc (m), b_dec (d), threshold (m; JumpReLU only).
                           `unit` has decoder rows of norm 1, `free` rows of norms 0.3 to 2
  cases[]                  one forward and backward pass on batches[0]:
    name, architecture, weights (a name), dead (latents in the dead mask), settings (of SAELens; d_in, d_sae left out)
    threshold              in place of weights.NAME.threshold, where present
    codes                  of each row the number of active latents (`counts`); of all rows one after another `latents`,
                           ascending, and `values`
    losses                 each term with its coefficient, `loss` their sum
    gradients              of the loss with respect to W_enc, W_dec, b_enc, b_dec (and threshold), in the shapes of the weights
    thresholds             BatchTopK: the running threshold; it is `start`, then `after` forward passes on batches 0,
                           1, 2 (the weights stay), whose smallest codes are `smallest`. `exported` is the threshold of
                           the SAE saved for inference after these; `codes` are that SAE's of batches[0]
  runs[]                   three steps of SAELens's trainer on batches 0, 1, 2: Adam (betas 0.9, 0.999, eps 1e-8), all
                           gradients clipped to a norm of 1 together
    name, architecture, weights, settings    as above
    learning_rate, dead_window               a latent is dead if it was silent for more steps than that
    silent                 steps since each latent fired, before the first step
    start                  the running threshold before the first step (BatchTopK)
    steps[]                dead (before the step), losses, loss, norm (of the gradients before clipping), topk_threshold
    after                  weights after the third step; `silent` after it
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import sae_lens
import torch
from sae_lens import SAE
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.registry import get_sae_training_class
from sae_lens.saes.sae import TrainStepInput
from sae_lens.training.sae_trainer import SAETrainer

D, M, N = 8, 24, 32
DEAD = [1, 5, 6, 12, 15, 16, 17, 20, 22]  # of Matryoshka levels 4, 10, 24: one, two, six
NAMES = ["W_enc", "W_dec", "b_enc", "b_dec", "threshold"]


def make_inputs(seed):
    """Batches and the two sets of weights."""
    random = np.random.default_rng(seed)
    batches = [random.standard_normal((N, D)).round(4) for _ in range(3)]
    weights = {}
    for name in ["unit", "free"]:
        rows = random.standard_normal((M, D))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if name == "free":
            rows = (rows * random.uniform(0.3, 2, (M, 1))).round(4)
        b_enc = random.uniform(-0.4, 0.4, M).round(4)
        b_enc[DEAD[:6]] -= 2  # Most of the dead never fire, the others do in this step.
        weights[name] = {
            "W_enc": (random.standard_normal((D, M)) * 0.4).round(4), "W_dec": nine(rows),
            "b_enc": b_enc.round(4), "b_dec": random.uniform(-0.3, 0.3, D).round(4),
            "threshold": random.uniform(0.05, 0.5, M).round(4)}
    return batches, weights


def nine(values):
    """Rounded to nine significant digits."""
    return np.vectorize(lambda v: float(f"{v:.9g}"), otypes=[float])(np.asarray(values, float))


def make_cases():
    both = [("unit", True, True), ("free", True, True), ("free", False, True), ("free", True, False)]
    cases = []

    def add(name, architecture, weights, dead, start=None, **settings):
        cases.append({"name": name, "architecture": architecture, "weights": weights, "dead": dead,
                      "settings": settings, "start": start})

    for weights, rescale, shifted in both:
        tail = f"{weights}{'' if rescale else ', not rescaled'}{'' if shifted else ', b_dec not subtracted'}"
        common = dict(rescale_acts_by_decoder_norm=rescale, apply_b_dec_to_input=shifted, aux_loss_coefficient=1.0)
        widths = dict(matryoshka_widths=[4, 10, M])
        add(f"batchtopk, {tail}", "batchtopk", weights, DEAD, 0.0, k=3.0, **common)
        add(f"matryoshka, {tail}", "matryoshka_batchtopk", weights, DEAD, 0.0, k=3.0, **common, **widths,
            use_matryoshka_aux_loss=False)
        if shifted:
            add(f"matryoshka, auxiliary loss of levels, {tail}", "matryoshka_batchtopk", weights, DEAD, 0.4, k=3.0,
                **common, **widths, use_matryoshka_aux_loss=True)
        if weights == "free" and shifted:
            add(f"topk, {tail}", "topk", weights, DEAD, k=3, **common)
    common = dict(rescale_acts_by_decoder_norm=True, apply_b_dec_to_input=True)
    add("batchtopk, k 2.7, two dead", "batchtopk", "free", [5, 20], 0.4, k=2.7, topk_threshold_lr=0.1,
        aux_loss_coefficient=0.5, **common)
    add("batchtopk, none dead", "batchtopk", "unit", [], 0.0, k=3.0, aux_loss_coefficient=1.0, **common)
    add("matryoshka, auxiliary loss of levels, one level without dead", "matryoshka_batchtopk", "free", [1, 12, 20], 0.0,
        k=3.0, aux_loss_coefficient=0.5, matryoshka_widths=[4, 10, M], use_matryoshka_aux_loss=True, **common)
    for weights in ["unit", "free"]:
        for mode, more in [("step", {}), ("quadratic", {"target_l0": 3.0})]:
            add(f"jumprelu, {mode}, {weights}", "jumprelu", weights, DEAD, jumprelu_bandwidth=0.05,
                jumprelu_sparsity_loss_mode=mode, l0_coefficient=0.7, pre_act_loss_coefficient=0.3,
                jumprelu_ste_to_input=False, apply_b_dec_to_input=weights == "free", **more)
    add("jumprelu, no loss of pre-activations, wide", "jumprelu", "free", DEAD, jumprelu_bandwidth=0.5,
        jumprelu_sparsity_loss_mode="step", l0_coefficient=1.0, jumprelu_ste_to_input=False, apply_b_dec_to_input=True)
    add("jumprelu, a threshold below zero", "jumprelu", "free", DEAD, jumprelu_bandwidth=0.2,
        jumprelu_sparsity_loss_mode="step", l0_coefficient=1.0, pre_act_loss_coefficient=0.3,
        jumprelu_ste_to_input=False, apply_b_dec_to_input=True)
    return cases


def make_runs():
    """The cases that are trained for three steps too."""
    names = ["batchtopk, free", "matryoshka, auxiliary loss of levels, free", "topk, free", "jumprelu, quadratic, free"]
    silent = np.zeros(M)
    silent[DEAD] = 7  # 5 is the window: these are dead at the first step, and until they fire.
    silent[2] = 4  # Dead at the third step unless it fires before.
    return names, silent, dict(learning_rate=0.01, dead_window=5)


def open_sae(case, weights, dtype="float64"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind, config = get_sae_training_class(case["architecture"])
        settings = {k: list(v) if isinstance(v, list) else v for k, v in case["settings"].items()}
        sae = kind(config(d_in=D, d_sae=M, dtype=dtype, **settings))
    for name in NAMES:
        if hasattr(sae, name):
            # SAELens keeps the threshold in float32 whatever the rest is; here it is like the rest.
            value = torch.from_numpy(weights[name].copy()).to(getattr(torch, dtype))
            setattr(sae, name, torch.nn.Parameter(value))
    if case["start"] is not None:
        sae.topk_threshold = torch.tensor(case["start"], dtype=torch.double)
    return sae


def one_pass(sae, x, dead):
    mask = torch.zeros(M, dtype=torch.bool)
    mask[dead] = True
    coefficients = {k: c.value for k, c in sae.get_coefficients().items()}
    return sae.training_forward_pass(TrainStepInput(
        sae_in=torch.from_numpy(x).to(sae.dtype), coefficients=coefficients, dead_neuron_mask=mask,
        n_training_steps=0, is_logging_step=False))


def step(case, weights, x, dtype="float64"):
    """Codes, pre-activations, losses and gradients of one pass."""
    sae = open_sae(case, weights, dtype)
    out = one_pass(sae, x, case["dead"])
    out.loss.backward()
    losses = {k: v.item() for k, v in out.losses.items()} | {"loss": out.loss.item()}
    gradients = {k: getattr(sae, k).grad.numpy() for k in NAMES if hasattr(sae, k)}
    return out.feature_acts.detach().numpy(), out.hidden_pre.detach().numpy(), losses, gradients


def thresholds(case, weights, batches):
    sae = open_sae(case, weights)
    result = {"start": case["start"], "smallest": [], "after": []}
    for x in batches:
        codes = one_pass(sae, x, case["dead"]).feature_acts
        result["smallest"].append(codes[codes > 0].min().item())
        result["after"].append(sae.topk_threshold.item())
    with tempfile.TemporaryDirectory() as folder:
        sae.save_inference_model(folder)
        saved = SAE.load_from_disk(folder)
    assert saved.cfg.architecture() == "jumprelu" and len(saved.threshold.unique()) == 1
    with torch.no_grad():
        codes = saved.encode(torch.from_numpy(batches[0])).numpy()
    return result | {"exported": saved.threshold[0].item(), "codes": sparse(codes)}


def trained(case, weights, batches, silent, learning_rate, dead_window):
    sae = open_sae(case, weights)
    trainer = SAETrainer(
        SAETrainerConfig(
            n_checkpoints=0, checkpoint_path=None, save_final_checkpoint=False, total_training_samples=3 * N,
            device="cpu", autocast=False, lr=learning_rate, lr_end=learning_rate, lr_scheduler_name="constant",
            lr_warm_up_steps=0, adam_beta1=0.9, adam_beta2=0.999, lr_decay_steps=0, n_restart_cycles=1,
            train_batch_size_samples=N, dead_feature_window=dead_window, feature_sampling_window=2000,
            logger=LoggingConfig(log_to_wandb=False)),
        sae, data_provider=iter(()))
    trainer.n_forward_passes_since_fired = torch.from_numpy(silent.copy())
    clip, norms, steps = torch.nn.utils.clip_grad_norm_, [], []
    torch.nn.utils.clip_grad_norm_ = lambda *a, **k: norms.append(clip(*a, **k).item())
    for x in batches:
        dead = np.flatnonzero(trainer.dead_neurons.numpy()).tolist()
        before = {k: getattr(sae, k).detach().numpy().copy() for k in NAMES if hasattr(sae, k)}
        check_distances({**case, "dead": dead}, before, x)
        out = trainer.step(torch.from_numpy(x))
        trainer.n_training_steps += 1
        steps.append({"dead": dead, "losses": {k: v.item() for k, v in out.losses.items()}, "loss": out.loss.item(),
                      "norm": norms[-1]})
        if case["start"] is not None:
            steps[-1]["topk_threshold"] = sae.topk_threshold.item()
    torch.nn.utils.clip_grad_norm_ = clip
    after = {k: getattr(sae, k).detach().numpy() for k in NAMES if hasattr(sae, k)}
    return {"steps": steps, "after": after | {"silent": trainer.n_forward_passes_since_fired.numpy()}}


def sparse(codes):
    rows, latents = np.nonzero(codes)
    return {"counts": np.bincount(rows, minlength=N), "latents": latents, "values": codes[rows, latents]}


# ---- The same by hand


def levels_of(case):
    return case["settings"].get("matryoshka_widths", [M])


def auxiliary_parts(case):
    """First and last latent, dead latents among them and the level whose error they explain, for every term."""
    levels = levels_of(case)
    if not case["settings"].get("use_matryoshka_aux_loss"):
        levels = levels[-1:]
    for first, last in zip([0] + levels[:-1], levels):
        dead = [j for j in case["dead"] if first <= j < last]
        if dead:
            yield dead, last


def strongest(values, count):
    """Whether each value of a row is among its `count` largest."""
    mask = np.zeros(values.shape, bool)
    np.put_along_axis(mask, np.argsort(-values, axis=1)[:, :count], True, axis=1)
    return mask


def formulas(case, w, x):
    """Losses, gradients and codes without automatic differentiation."""
    s, kind = case["settings"], case["architecture"]
    shift = 1 if s["apply_b_dec_to_input"] else 0
    read = x - shift * w["b_dec"]
    u = read @ w["W_enc"] + w["b_enc"]
    norms = np.linalg.norm(w["W_dec"], axis=1)
    losses, g = {}, {k: np.zeros_like(w[k]) for k in ["W_dec", "b_dec"]}
    g_u = np.zeros_like(u)
    n = len(x)
    if kind == "jumprelu":
        theta = np.maximum(w["threshold"], 0)
        active, g["threshold"] = u > theta, np.zeros(M)
        window = np.abs((u - theta) / s["jumprelu_bandwidth"]) < 0.5
        codes = a = u * active
    else:
        h = u * norms if s["rescale_acts_by_decoder_norm"] else u
        if kind == "topk":
            active = strongest(h, s["k"]) & (h > 0)
        else:
            active = strongest(np.maximum(h, 0).reshape(1, -1), int(s["k"] * n)).reshape(h.shape) & (h > 0)
        codes, a = h * active, u * active  # The norms cancel: the decoder divides by them.
    outputs = {}
    for level in levels_of(case):
        part = a * (np.arange(M) < level)
        outputs[level] = part @ w["W_dec"] + w["b_dec"]
        error = outputs[level] - x
        losses["mse_loss" if level == M else f"inner_mse_loss_{level}"] = (error**2).sum(1).mean()
        back = 2 * error / n
        g["W_dec"] += part.T @ back
        g["b_dec"] += back.sum(0)
        g_code = (back @ w["W_dec"].T) * (np.arange(M) < level)
        g_u += g_code * active
        if kind == "jumprelu":
            g["threshold"] -= (theta / s["jumprelu_bandwidth"] * window * g_code).sum(0)
    if kind == "jumprelu":
        count = active.sum(1)
        if s["jumprelu_sparsity_loss_mode"] == "step":
            per_row, slope = count, np.ones(n)
        else:
            target = s["target_l0"]
            per_row, slope = 2 / target * (count - target) ** 2, 4 / target * (count - target)
        losses["l0_loss"] = s["l0_coefficient"] * per_row.mean()
        g["threshold"] -= (window * slope[:, None]).sum(0) * s["l0_coefficient"] / n / s["jumprelu_bandwidth"]
        if p := s.get("pre_act_loss_coefficient"):
            below = np.maximum(theta - u, 0) * np.isin(np.arange(M), case["dead"])
            losses["pre_act_loss"] = p * (below * norms).sum(1).mean()
            g["threshold"] += p / n * ((below > 0) * norms).sum(0)
            g_u -= p / n * (below > 0) * norms
            g["W_dec"] += (p / n * below.sum(0) / norms)[:, None] * w["W_dec"]
    else:
        losses["auxiliary_reconstruction_loss"] = 0.0
        for dead, level in auxiliary_parts(case):
            most = D // 2
            scale = s["aux_loss_coefficient"] * min(len(dead) / most, 1)
            chosen = np.zeros(u.shape, bool)
            chosen[:, dead] = strongest(h[:, dead], min(most, len(dead)))
            part = u * chosen
            error = part @ w["W_dec"] - (x - outputs[level])
            losses["auxiliary_reconstruction_loss"] += scale * (error**2).sum(1).mean()
            back = 2 * scale * error / n
            g["W_dec"] += part.T @ back
            g_u += (back @ w["W_dec"].T) * chosen
    g["W_enc"], g["b_enc"] = read.T @ g_u, g_u.sum(0)
    g["b_dec"] -= shift * (g_u @ w["W_enc"].T).sum(0)
    return codes, losses | {"loss": sum(losses.values())}, g


def gap(values, count):
    """The smallest distance between the last chosen and the first not chosen of each row."""
    values = -np.sort(-values, axis=1)
    return np.inf if count >= values.shape[1] else (values[:, count - 1] - values[:, count]).min()


def check_distances(case, weights, x, least=2e-5):
    """No selection and no gate is decided by less than rounding to float32 could change."""
    _, h, _, _ = step(case, weights, x)
    s = case["settings"]
    if case["architecture"] == "jumprelu":
        theta = np.maximum(weights["threshold"], 0)
        distance = np.abs(np.abs(h - theta)[..., None] - np.array([0, s["jumprelu_bandwidth"] / 2])).min()
    elif case["architecture"] == "topk":
        distance = gap(h, s["k"])
    else:
        distance = gap(np.maximum(h, 0).reshape(1, -1), int(s["k"] * N))
    if case["architecture"] != "jumprelu":
        distance = min(distance, *(gap(h[:, dead], min(D // 2, len(dead))) for dead, _ in auxiliary_parts(case)),
                       np.abs(h).min() / 10)
    if distance < least:
        raise ArithmeticError(f"{case['name']}: two candidates differ by {distance:.1e}; take another seed")


def relative(a, b):
    return np.abs(np.asarray(a) - b).max() / max(np.abs(b).max(), 1e-12)


def check(case, weights, x, codes, losses, gradients):
    """The largest relative difference of the formulas above and of SAELens in float32."""
    by_hand, in_single = formulas(case, weights, x), step(case, weights, x, "float32")
    assert by_hand[1].keys() == losses.keys() and by_hand[2].keys() == gradients.keys(), case["name"]
    assert ((in_single[0] != 0) == (codes != 0)).all(), case["name"]
    worst = []
    for other_codes, other_losses, other_gradients in [by_hand, (in_single[0], in_single[2], in_single[3])]:
        worst.append(max([relative(other_codes, codes)] + [relative(other_losses[k], losses[k]) for k in losses]
                         + [relative(other_gradients[k], gradients[k]) for k in gradients]))
    return worst


def write(value, indent=""):
    """JSON with one array of numbers a line."""
    if isinstance(value, dict):
        lines = [f'{indent} {json.dumps(k)}: {write(v, indent + " ")}' for k, v in value.items() if v is not None]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], (dict, np.ndarray)):
        return "[\n" + ",\n".join(f"{indent} {write(v, indent + ' ')}" for v in value) + f"\n{indent}]"
    if isinstance(value, (list, np.ndarray)):
        return "[" + ",".join(write(v) for v in np.ravel(value).tolist()) + "]"
    return f"{value:.9g}" if isinstance(value, float) else json.dumps(value)


def make(seed):
    batches, weights = make_inputs(seed)
    cases, results, worst = make_cases(), [], [0, 0]
    for case in cases:
        w = dict(weights[case["weights"]])
        if "below zero" in case["name"]:
            w["threshold"] = np.where(np.arange(M) == 3, -0.02, w["threshold"])
            case["threshold"] = w["threshold"]
        check_distances(case, w, batches[0])
        codes, _, losses, gradients = step(case, w, batches[0])
        worst = np.maximum(worst, check(case, w, batches[0], codes, losses, gradients))
        result = {k: v for k, v in case.items() if k != "start"}
        result |= {"codes": sparse(codes), "losses": losses, "gradients": gradients}
        if case["start"] is not None:
            result["thresholds"] = thresholds(case, w, batches)
        results.append(result)
    names, silent, how = make_runs()
    runs = []
    for name in names:
        case = next(case for case in cases if case["name"] == name)
        run = {k: v for k, v in case.items() if k != "dead"} | how | {"silent": silent}
        runs.append(run | trained(case, weights[case["weights"]], batches, silent, **how))
    if worst[0] > 1e-12 or worst[1] > 1e-4:
        sys.exit(f"formulas by hand differ by {worst[0]:.1e}, float32 by {worst[1]:.1e}")
    print(f"{len(results)} cases: formulas by hand differ by at most {worst[0]:.1e}, float32 by {worst[1]:.1e}")
    return {"command": f"runs/saelens-step.py (SAELens {sae_lens.__version__}, PyTorch {torch.__version__}, seed {seed})",
            "width": D, "latents": M, "rows": N, "batches": batches, "weights": weights, "cases": results, "runs": runs}


def main():
    default = Path(__file__).parents[1] / "Tests/HSAEModelsTests/Fixtures/saelens-step.json"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for seed in range(1000):
        try:
            fixture = make(seed)
        except ArithmeticError:
            continue
        path.write_text(write(fixture) + "\n")
        return
    sys.exit("no seed has distances large enough")


main()
