"""Hierarchical sparse autoencoders in SAELens: import this file, then use SAE.load_from_disk.

    import hsae_saelens
    from sae_lens import SAE
    sae = SAE.load_from_disk("folder that hsae export wrote")

The architecture "hsae" is the H-SAE of Muchane, Richardson, Park and Veitch. An expert (latent j < m) is
active if it is among the k largest pre-activations and above the threshold. After BatchTopK or JumpReLU there is a
threshold for each expert (expert_threshold) in place of k, which is m then. Experts may have a bias (b_enc). In each active expert, and
only there, the sublatent with the largest pre-activation is active: latent m + a*j + q. The encoders and
decoders of both levels are linear, so W_enc [d, m + m*a] and W_dec [m + m*a, d] hold them all, with
sublatents composed with their expert's subspace; only the activation function is hierarchical. Decoder rows
of experts have unit norm, those of sublatents need not; fold_W_dec_norm() scales them to unit norm, as
SAEBench's absorption and dashboards expect, and scales the codes to match.

The code of a chosen sublatent below sub_threshold is sub_slope times its pre-activation. With the usual slope
of 0.01 that is small, positive or negative, not 0: a sublatent is active if its pre-activation is at or above
the threshold, and tools that count nonzero codes count one sublatent for each active expert. With sub_slope 0,
as where sublatents have a budget, it is 0, and a nonzero code is an active sublatent.

Needs sae_lens >= 6 and torch.
"""

from dataclasses import dataclass
from typing import Any, Callable

import torch
from sae_lens import SAE, SAEConfig, register_sae_class
from sae_lens.saes.topk_sae import TopK


@dataclass
class HierarchicalSAEConfig(SAEConfig):
    """Sizes and thresholds of an H-SAE; thresholds are in the scale of the normalised input."""

    k: int = 32
    n_experts: int = 0
    n_sublatents: int = 0
    threshold: float = 0.0
    sub_threshold: float = 0.0
    slope: float = 0.0
    sub_slope: float = 0.01

    @classmethod
    def architecture(cls) -> str:
        return "hsae"


class HierarchicalTopK(TopK):
    """k experts of m, and in each of them one sublatent of a. Pre-activations [..., m + m*a].

    It is a TopK, so tools know that a latent's code depends on all others.
    """

    def __init__(self, cfg: HierarchicalSAEConfig):
        super().__init__(cfg.k)
        self.cfg = cfg

    def forward(self, x: torch.Tensor, thresholds: torch.Tensor | None = None) -> torch.Tensor:
        """Codes [..., m + m*a]; an expert whose pre-activation does not exceed its number in `thresholds` has none."""
        cfg = self.cfg
        m, a = cfg.n_experts, cfg.n_sublatents
        first = x[..., :m]
        if thresholds is not None:
            first = first.masked_fill(first <= thresholds, 0)
        if cfg.k < m:
            top, experts = first.topk(cfg.k, dim=-1)
        else:
            top, experts = first, torch.arange(m, device=x.device).expand_as(first)
        z = torch.where(top >= cfg.threshold, top, cfg.slope * top).relu()
        result = torch.zeros_like(x)
        result.scatter_(-1, experts, z)
        if a == 0:
            return result
        # Pre-activations of these experts' sublatents: [..., k, a].
        inside = x[..., m:].unflatten(-1, (m, a))
        if cfg.k < m:
            children = m + a * experts.unsqueeze(-1) + torch.arange(a, device=x.device)
            inside = x.gather(-1, children.flatten(-2)).unflatten(-1, (cfg.k, a))
        u, chosen = inside.max(dim=-1)
        c = torch.where(u >= cfg.sub_threshold, u, cfg.sub_slope * u)
        c = torch.where(z > 0, c, torch.zeros_like(c))
        result.scatter_(-1, m + a * experts + chosen, c)
        return result


class HierarchicalSAE(SAE[HierarchicalSAEConfig]):
    """An H-SAE for inference."""

    # The scale of the codes [m + m*a]: 1 until decoder norms are folded.
    code_scale: torch.Tensor
    # The bias of pre-activations [m + m*a], 0 for sublatents.
    b_enc: torch.Tensor
    # The threshold of each expert [m], -inf without one.
    expert_threshold: torch.Tensor

    def initialize_weights(self) -> None:
        super().initialize_weights()
        like = self.W_dec[:, 0].detach()
        self.register_buffer("code_scale", torch.ones_like(like))
        self.register_buffer("b_enc", torch.zeros_like(like))
        self.register_buffer("expert_threshold", torch.full_like(like[: self.cfg.n_experts], -torch.inf))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        pre = self.hook_sae_acts_pre(self.process_sae_in(x) @ self.W_enc + self.b_enc)
        return self.hook_sae_acts_post(self.activation_fn(pre, self.expert_threshold) * self.code_scale)

    def decode(self, feature_acts: torch.Tensor) -> torch.Tensor:
        rows = self.hook_sae_recons(feature_acts @ self.W_dec + self.b_dec)
        rows = self.run_time_activation_norm_fn_out(rows)
        return self.reshape_fn_out(rows, self.d_head)

    def get_activation_fn(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return HierarchicalTopK(self.cfg)

    @torch.no_grad()
    def fold_and_get_W_dec_norm(self) -> torch.Tensor:
        """Scales decoder rows to unit norm. Scales codes and not W_enc, which decides the largest sublatent."""
        norms = self.W_dec.norm(dim=-1).clamp(min=1e-8)
        self.W_dec.data.div_(norms.unsqueeze(1))
        self.code_scale.mul_(norms)
        return norms

    def fold_W_dec_norm(self) -> None:
        self.fold_and_get_W_dec_norm()

    def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
        """Unfolds the tensors of `hsae export`; leaves those of SAE.save_model as they are."""
        m = self.cfg.n_experts
        if "W_enc" in state_dict:
            # Folders of older versions of this file have no thresholds.
            like = state_dict["W_dec"][:, 0]
            state_dict.setdefault("b_enc", torch.zeros_like(like))
            state_dict.setdefault("expert_threshold", torch.full_like(like[:m], -torch.inf))
            return
        dtype = state_dict["encoder"].dtype
        state_dict["b_enc"] = torch.zeros(self.cfg.d_sae, dtype=dtype)
        if "encoder_bias" in state_dict:
            state_dict["b_enc"][:m] = state_dict.pop("encoder_bias")
        state_dict.setdefault("expert_threshold", torch.full((m,), -torch.inf, dtype=dtype))
        state_dict["code_scale"] = torch.ones(self.cfg.d_sae, dtype=dtype)
        encoder, decoder = [state_dict.pop("encoder")], [state_dict.pop("decoder")]
        if "down" in state_dict:
            for name, sub, sides in (("down", "sub_encoder", encoder), ("up", "sub_decoder", decoder)):
                # [m, a, s] times [m, s, d]: each sublatent's direction in the stream.
                rows = torch.bmm(state_dict.pop(sub), state_dict.pop(name))
                sides.append(rows.flatten(0, 1))
        state_dict["W_enc"] = torch.cat(encoder).T.contiguous()
        state_dict["W_dec"] = torch.cat(decoder)
        state_dict["b_dec"] = state_dict.pop("bias")

    def expert_of(self, latent: int) -> int | None:
        """The expert of a sublatent; None for an expert."""
        m, a = self.cfg.n_experts, self.cfg.n_sublatents
        return None if latent < m else (latent - m) // a

    def sublatents_of(self, expert: int) -> range:
        """The sublatents of an expert."""
        m, a = self.cfg.n_experts, self.cfg.n_sublatents
        return range(m + a * expert, m + a * (expert + 1))


register_sae_class("hsae", HierarchicalSAE, HierarchicalSAEConfig)
