"""Trains a llama-family decoder with plain PyTorch on the CPU and prints one JSON line: the peer of `npm run bench`.

The model and the step are the ones a careful PyTorch user would write: fused kernels where PyTorch has them
(rms_norm, scaled_dot_product_attention, AdamW(fused=True)), one matrix for q, k, v and one for gate and up,
gradients set to None, no copies off the device but the loss.

    python torch_train.py --mode eager|compile|bf16|bf16-compile --hidden 384 --layers 6 ...

Line: {"peer", "version", "mode", "model", "params", "tokensPerStep", "compileSeconds", "stepSeconds": [...],
"loss": [...], "gradNorm": [...], "foreignCores": [...], "cpuSeconds": [...], "peakRssBytes", "settings"}.
`stepSeconds` leaves out the `--warmup` steps, and compiling is in `compileSeconds` alone; `foreignCores` is the
CPU that other processes took during each timed step, so that a driver can tell a clean step from a disturbed one,
and `cpuSeconds` what the step took itself.
"""

import argparse
import ctypes
import json
import os
import resource
import time


def arguments():
    parser = argparse.ArgumentParser()
    for name, default in [
        ("hidden", 384), ("layers", 6), ("heads", 6), ("kv-heads", 6), ("intermediate", 1024),
        ("vocab", 4096), ("seq", 256), ("batch", 8), ("steps", 10), ("warmup", 2), ("threads", 2), ("seed", 1),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mode", choices=["eager", "compile", "bf16", "bf16-compile"], default="eager")
    parser.add_argument("--untied", action="store_true", help="a separate output matrix")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--wait", choices=["default", "passive", "active"], default="default", help="OMP_WAIT_POLICY")
    parser.add_argument("--malloc", choices=["default", "keep"], default="keep",
                        help="keep: freed memory stays in the process, so that steps do not fault it in again")
    parser.add_argument("--optimizer", choices=["fused", "foreach", "compiled"], default="fused")
    parser.add_argument("--compile-mode", default="default", help="torch.compile's mode")
    parser.add_argument("--split", action="store_true", help="separate q, k, v and gate, up matrices")
    parser.add_argument("--profile", action="store_true", help="print torch.profiler's table of two steps as well")
    return parser.parse_args()


args = arguments()

# Both are read once: OpenMP's when torch loads its library, malloc's from now on.
if args.wait != "default":
    os.environ["OMP_WAIT_POLICY"] = args.wait.upper()
    if args.wait == "passive":
        os.environ["GOMP_SPINCOUNT"] = "0"
if args.malloc == "keep":
    libc = ctypes.CDLL(None)
    M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


def rotate(x, cos, sin):  # x (B, heads, T, headDim)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-5)


class Attention(nn.Module):
    def __init__(self, hidden, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, hidden // heads
        self.widths = [heads * self.size, kv_heads * self.size, kv_heads * self.size]
        if args.split:
            self.parts = nn.ModuleList(nn.Linear(hidden, width, bias=False) for width in self.widths)
        else:
            self.qkv = nn.Linear(hidden, sum(self.widths), bias=False)
        self.out = nn.Linear(heads * self.size, hidden, bias=False)

    def forward(self, x, cos, sin):
        B, T, _ = x.shape
        q, k, v = [part(x) for part in self.parts] if args.split else self.qkv(x).split(self.widths, dim=-1)
        q = rotate(q.view(B, T, self.heads, self.size).transpose(1, 2), cos, sin)
        k = rotate(k.view(B, T, self.kv_heads, self.size).transpose(1, 2), cos, sin)
        v = v.view(B, T, self.kv_heads, self.size).transpose(1, 2)
        grouped = self.heads != self.kv_heads
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.out(y.transpose(1, 2).reshape(B, T, -1))


class Mlp(nn.Module):
    def __init__(self, hidden, intermediate):
        super().__init__()
        if args.split:
            self.gate = nn.Linear(hidden, intermediate, bias=False)
            self.up = nn.Linear(hidden, intermediate, bias=False)
        else:
            self.gate_up = nn.Linear(hidden, 2 * intermediate, bias=False)
        self.down = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x):
        gate, up = (self.gate(x), self.up(x)) if args.split else self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, hidden, heads, kv_heads, intermediate):
        super().__init__()
        self.attention_norm, self.mlp_norm = Norm(hidden), Norm(hidden)
        self.attention, self.mlp = Attention(hidden, heads, kv_heads), Mlp(hidden, intermediate)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(args.vocab, args.hidden)
        self.layers = nn.ModuleList(
            Layer(args.hidden, args.heads, args.kv_heads, args.intermediate) for _ in range(args.layers)
        )
        self.norm = Norm(args.hidden)
        self.head = nn.Linear(args.hidden, args.vocab, bias=False) if args.untied else None
        size = args.hidden // args.heads
        frequency = 10000.0 ** (-torch.arange(0, size, 2).float() / size)
        angle = torch.outer(torch.arange(args.seq).float(), frequency)
        angle = torch.cat((angle, angle), dim=-1)  # (T, headDim)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, labels):
        x = self.embedding(ids)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        logits = F.linear(self.norm(x), self.head.weight if self.head else self.embedding.weight)
        return F.cross_entropy(logits.view(-1, args.vocab).float(), labels.view(-1))


def token_stream(seed):
    """Tokens with something to learn: three in four come from a cycle through 64 of the vocabulary."""
    state, last = seed * 2654435761 % 2**32 or 1, 0
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        last = (last * 5 + 7) % 64 if state & 3 else (state >> 8) % args.vocab
        yield last


def cpu_seconds():
    """CPU seconds taken so far by the whole machine (and stolen from it), and by this process."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    own = os.times()
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy, own.user + own.system


def main():
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    model = Decoder()
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    kind = {"fused": args.optimizer == "fused", "foreach": True if args.optimizer == "foreach" else None}
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), eps=1e-8, **kind)

    compiled = args.mode.endswith("compile")
    forward = torch.compile(model, mode=args.compile_mode) if compiled else model
    update = torch.compile(optimizer.step) if args.optimizer == "compiled" else optimizer.step
    parameters = list(model.parameters())
    stream = token_stream(args.seed)

    def step():
        tokens = [[next(stream) for _ in range(args.seq + 1)] for _ in range(args.batch)]
        tokens = torch.tensor(tokens)
        ids, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        busy, own = cpu_seconds()
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.mode.startswith("bf16")):
            loss = forward(ids, labels)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        update()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        seconds = time.perf_counter() - start
        busy_after, own_after = cpu_seconds()
        foreign = max(0.0, (busy_after - busy) - (own_after - own)) / seconds
        return value, norm.item(), seconds, foreign, own_after - own

    begin = time.perf_counter()
    warm = [step() for _ in range(args.warmup)]
    warm_seconds = time.perf_counter() - begin
    timed = [step() for _ in range(args.steps)]
    best = min(row[2] for row in timed)
    if args.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            step(), step()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))

    print(json.dumps({
        "peer": f"torch-{args.mode}",
        "version": torch.__version__,
        "mode": args.mode,
        "model": {key: getattr(args, key) for key in
                  ("hidden", "layers", "heads", "kv_heads", "intermediate", "vocab", "seq", "batch")} | {"tied": not args.untied},
        "params": sum(p.numel() for p in parameters),
        "tokensPerStep": args.batch * args.seq,
        "compileSeconds": max(0.0, warm_seconds - best * args.warmup) if compiled else 0.0,
        "stepSeconds": [round(row[2], 6) for row in timed],
        "loss": [row[0] for row in warm + timed],
        "gradNorm": [row[1] for row in warm + timed],
        "foreignCores": [round(row[3], 3) for row in timed],
        "cpuSeconds": [round(row[4], 3) for row in timed],
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "settings": {"threads": args.threads, "wait": args.wait, "malloc": args.malloc,
                     "optimizer": args.optimizer, "fusedProjections": not args.split},
    }))


main()
