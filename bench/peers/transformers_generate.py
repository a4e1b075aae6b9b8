"""Generates greedily with Hugging Face transformers on the CPU and prints one JSON line: the peer of `sample`.

    python transformers_generate.py --prompt 64 --new 128 [--folder <model folder> | --hidden 768 --layers 12 ...]

`generate` with a key/value cache, one sequence, float32, scaled_dot_product_attention. Modes:
dynamic (the cache that transformers takes by itself), static, and static-compile (the forward pass compiled).
Loading and, in that mode, compiling are left out; `prefillSeconds` is a `generate` of one token, and
`tokensPerSecond` counts the other tokens over the rest of the time. The best of `--repeats` runs counts.
"""

import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
for flag, default in [("hidden", 768), ("layers", 12), ("heads", 12), ("kv-heads", 12), ("intermediate", 2048),
                      ("vocab", 16384), ("positions", 512), ("prompt", 64), ("new", 128), ("repeats", 4),
                      ("threads", 2), ("seed", 1)]:
    parser.add_argument(f"--{flag}", type=int, default=default)
parser.add_argument("--mode", choices=["dynamic", "static", "static-compile"], default="dynamic")
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--wait", choices=["default", "passive", "active"], default="default", help="OMP_WAIT_POLICY")
parser.add_argument("--folder", help="a saved model, instead of a random one of the given shape")
args = parser.parse_args()
if args.wait != "default":
    os.environ["OMP_WAIT_POLICY"] = args.wait.upper()
    if args.wait == "passive":
        os.environ["GOMP_SPINCOUNT"] = "0"

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM  # noqa: E402


def cpu_seconds():
    """CPU seconds taken so far by the whole machine (and stolen from it), and by this process."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    own = os.times()
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy, own.user + own.system


def load():
    dtype = getattr(torch, args.dtype)
    if args.folder:
        return AutoModelForCausalLM.from_pretrained(args.folder, dtype=dtype, attn_implementation="sdpa")
    config = LlamaConfig(
        vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=args.intermediate,
        num_hidden_layers=args.layers, num_attention_heads=args.heads, num_key_value_heads=args.kv_heads,
        max_position_embeddings=args.positions, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
    )
    return LlamaForCausalLM._from_config(config, dtype=dtype, attn_implementation="sdpa")


def main():
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    transformers.utils.logging.disable_progress_bar()
    model = load().eval()
    if args.mode == "static-compile":
        model.forward = torch.compile(model.forward, dynamic=False)
    prompt = torch.randint(model.config.vocab_size, (1, args.prompt))
    mask = torch.ones_like(prompt)

    def generate(count):
        settings = GenerationConfig(
            max_new_tokens=count, min_new_tokens=None, do_sample=False, use_cache=True, eos_token_id=None,
            pad_token_id=0, cache_implementation=None if args.mode == "dynamic" else "static",
            max_length=None, disable_compile=True,
        )
        busy, own = cpu_seconds()
        start = time.perf_counter()
        with torch.inference_mode():
            ids = model.generate(prompt, attention_mask=mask, generation_config=settings)
        seconds = time.perf_counter() - start
        busy_after, own_after = cpu_seconds()
        assert ids.shape[1] == args.prompt + count
        foreign = max(0.0, (busy_after - busy) - (own_after - own)) / seconds
        return seconds, foreign, ids[0, args.prompt:].tolist(), own_after - own

    begin = time.perf_counter()
    generate(args.new)
    warm = time.perf_counter() - begin
    prefill = [generate(1) for _ in range(args.repeats + 1)][1:]
    whole = [generate(args.new) for _ in range(args.repeats)]
    best_prefill, best = min(row[0] for row in prefill), min(row[0] for row in whole)
    print(json.dumps({
        "peer": f"transformers-{args.mode}",
        "version": f"{transformers.__version__}, torch {torch.__version__}",
        "mode": args.mode,
        "dtype": args.dtype,
        "params": sum(p.numel() for p in model.parameters()),
        "promptTokens": args.prompt,
        "newTokens": args.new,
        "compileSeconds": max(0.0, warm - best) if args.mode == "static-compile" else 0.0,
        "prefillSeconds": [round(row[0], 6) for row in prefill],
        "generateSeconds": [round(row[0], 6) for row in whole],
        "tokensPerSecond": (args.new - 1) / (best - best_prefill),
        "foreignCores": [round(row[1], 3) for row in whole],
        "cpuSeconds": [round(row[3], 3) for row in whole],
        "ids": whole[0][2],
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "settings": {"threads": args.threads, "wait": args.wait},
    }))


main()
