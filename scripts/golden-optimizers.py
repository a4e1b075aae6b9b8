"""Writes test/golden/optimizers/<case>/: what 20 steps of torch's optimizers do to a tiny llama, for our tests.

    pip install torch==2.14.1 transformers==5.12.1 safetensors
    python scripts/golden-optimizers.py [case ...]

A case is a folder of two files. case.json: the model (a folder of test/golden/models, whose weights and batches are
taken), the optimizer as a run file has it, and how far torch's own rounding goes (below). golden.safetensors:

    train.lr              F32 [S]        learning rate of each step
    train.loss            F32 [S]        mean over all labels of the step's micro-batches together
    train.grad_norm       F32 [S]        global norm before clipping
    final.<parameter>                    after S steps
    bfloat16.loss         F32 [S]        Muon as torch has it; the others are with float32 iterations, see below

Steps are those of scripts/golden-models.py: gradients of the micro-batches, weighted by their share of the labels, are
added up and clipped by global norm 1; weight decay is for tensors of two dimensions or more.

adamw   torch.optim.AdamW
lion    `Lion` below, from algorithm 2 of Chen et al. 2023 (arXiv 2302.06675)
muon    torch.optim.Muon for matrices of layers; torch.optim.AdamW for embeddings, output matrix, norms and biases. torch
        rounds the matrix to bfloat16 before its Newton-Schulz iterations, which are the same in float32 but for
        rounding. `train.loss` and `final` are of torch's own class with that one rounding left out, `bfloat16.loss` is
        of the class as it is.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from torch.optim import _muon
from transformers import AutoModelForCausalLM

GOLDEN = Path(__file__).resolve().parent.parent / "test" / "golden"
MAX_NORM = 1.0
BETAS, EPSILON = [0.9, 0.95], 1e-8
MUON = {"kind": "muon", "momentum": 0.95, "betas": BETAS, "epsilon": EPSILON, "weightDecay": 0.1, "clipNorm": 1}

# model, peak learning rate, optimizer
CASES = {
    "adamw": ("llama-untied-gqa", 5e-3, {"kind": "adamw", "betas": BETAS, "epsilon": EPSILON, "weightDecay": 0.1, "clipNorm": 1}),
    "lion": ("llama-untied-gqa", 1e-3, {"kind": "lion", "betas": [0.9, 0.99], "weightDecay": 1.0, "clipNorm": 1}),
    "muon": ("llama-untied-gqa", 5e-3, {**MUON, "adjustLearningRate": "match_rms_adamw", "adamwRate": 1}),
    "muon-original": ("llama-tied", 2e-2, {**MUON, "adjustLearningRate": "original", "adamwRate": 0.25}),
}


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                p.sub_(group["lr"] * (c.sign() + group["weight_decay"] * p))
                m.copy_(beta2 * m + (1 - beta2) * p.grad)


class Float32Tensor(torch.Tensor):
    """A tensor whose `bfloat16()` is itself in float32: what torch's Muon calls before its iterations."""

    def bfloat16(self):
        return self.as_subclass(torch.Tensor).clone()


def newton_schulz_float32(grad, *rest):
    return _newton_schulz(grad.as_subclass(Float32Tensor), *rest).as_subclass(torch.Tensor)


_newton_schulz = _muon._zeropower_via_newtonschulz


def optimizers(model, o):
    """Optimizers with the factor of the learning rate of each."""
    named = list(model.named_parameters())
    decayed = lambda parameters: [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": o["weightDecay"]},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    if o["kind"] == "lion":
        return [(Lion(decayed([p for _, p in named]), betas=o["betas"]), 1.0)]
    adamw = lambda parameters: torch.optim.AdamW(decayed(parameters), betas=o["betas"], eps=o["epsilon"])
    if o["kind"] == "adamw":
        return [(adamw([p for _, p in named]), 1.0)]
    matrices = [p for name, p in named if ".layers." in name and p.ndim == 2]
    rest = [p for name, p in named if not (".layers." in name and p.ndim == 2)]
    muon = torch.optim.Muon(
        matrices, weight_decay=o["weightDecay"], momentum=o["momentum"], adjust_lr_fn=o["adjustLearningRate"]
    )
    return [(muon, 1.0), (adamw(rest), o["adamwRate"])]


def train(model, ids, labels, rates, o):
    losses, norms = [], []
    used = optimizers(model, o)
    for step, rate in enumerate(rates.tolist()):
        valid = (labels[step] != -100).sum()
        total = 0.0
        for micro in range(ids.shape[1]):
            logits = model(input_ids=ids[step, micro], use_cache=False).logits
            part = F.cross_entropy(logits.flatten(0, 1), labels[step, micro].flatten(), ignore_index=-100, reduction="sum")
            (part / valid).backward()
            total += (part / valid).detach()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM))
        for optimizer, factor in used:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
        model.zero_grad()
        losses.append(total)
    return torch.stack(losses), torch.stack(norms)


def apart(a, b):
    return ((a.double() - b.double()).abs() / b.double().abs()).max().item()


def distance(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def write_case(name, folder, peak, o):
    source = GOLDEN / "models" / folder
    given = load_file(source / "golden.safetensors")
    ids, labels = given["train.ids"], given["train.labels"]
    # the course of that model's own steps, with another peak
    rates = (given["train.lr"] * (peak / given["train.lr"].max())).float()
    model = lambda kind: AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager", dtype=kind).eval()

    golden = {"train.lr": rates}
    case = {"model": folder, "optimizer": o}
    if o["kind"] == "muon":
        golden["bfloat16.loss"], _ = train(model(torch.float32), ids, labels, rates, o)
        _muon._zeropower_via_newtonschulz = newton_schulz_float32
    trained, precise = model(torch.float32), model(torch.float64)
    losses, norms = train(trained, ids, labels, rates, o)
    golden |= {"train.loss": losses, "train.grad_norm": norms}
    golden |= {f"final.{key}": p.detach().clone() for key, p in trained.named_parameters()}
    exact, _ = train(precise, ids, labels, rates, o)
    _muon._zeropower_via_newtonschulz = _newton_schulz

    case["float64"] = {
        "loss": apart(losses, exact),
        "parameters": max(distance(p, q) for p, q in zip(trained.parameters(), precise.parameters())),
    }
    if "bfloat16.loss" in golden:
        case["bfloat16"] = {"loss": apart(golden["bfloat16.loss"], losses)}
    target = GOLDEN / "optimizers" / name
    target.mkdir(parents=True, exist_ok=True)
    save_file(golden, target / "golden.safetensors", metadata={"made_by": f"torch {torch.__version__}, transformers {transformers.__version__}"})
    (target / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    print(f"{name:14} loss {losses[0]:.4f} -> {losses[-1]:.4f}  norm {norms.min():.2f}..{norms.max():.2f}  {case['float64']} {case.get('bfloat16', '')}")


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    wanted = sys.argv[1:] or list(CASES)
    for name, (folder, peak, o) in CASES.items():
        if name in wanted:
            write_case(name, folder, peak, o)


main()
