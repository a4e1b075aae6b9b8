"""Trains a GPT-2 of about the same size with llm.c on the CPU and prints one JSON line, as torch_train.py does.

    REGAUGE_LLMC=<a checkout of github.com/karpathy/llm.c> python llmc_train.py --hidden 384 --layers 6 ...

llm.c has its batch, length and steps written into `main`, and validates and samples between steps. A copy of
train_gpt2.c with our numbers there, and without those two, is compiled the way its Makefile does
(-Ofast -fopenmp, with -O3 and -march=native); the checkout itself is left as it is. The model, random, and the
tokens are written in the two file formats that it reads. It is a GPT-2: LayerNorm, learned positions, biases,
GELU, an MLP of two matrices 4 x hidden wide, tied output; and it clips no gradients. `--intermediate` is the width of
the three matrices of the others' MLP: at 8/3 x hidden both have as many weights, and nothing else is taken.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import numpy

PARAMETERS = 16  # tensors in a model file


def arguments():
    parser = argparse.ArgumentParser()
    for name, default in [("hidden", 384), ("layers", 6), ("heads", 6), ("intermediate", 1024), ("vocab", 4096), ("seq", 256),
                          ("batch", 8), ("steps", 5), ("warmup", 1), ("threads", 2), ("seed", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--source", default=os.environ.get("REGAUGE_LLMC"), help="the llm.c checkout")
    args = parser.parse_args()
    if 3 * args.intermediate != 8 * args.hidden:
        parser.error(f"--intermediate is {args.intermediate}, and only 8/3 of --hidden {args.hidden} is the same size")
    return args


def write_model(path, args):
    """Magic 20240326, version 3, the shape in a header of 256 int32, then float32 tensors in the order of the struct."""
    C, L, V, T = args.hidden, args.layers, args.vocab, args.seq
    shapes = [(V, C), (T, C), (L, C), (L, C), (L, 3 * C, C), (L, 3 * C), (L, C, C), (L, C),
              (L, C), (L, C), (L, 4 * C, C), (L, 4 * C), (L, C, 4 * C), (L, C), (C,), (C,)]
    norms = {2, 8, 14}
    matrices = {0, 1, 4, 6, 10, 12}
    assert len(shapes) == PARAMETERS and V % 128 == 0
    header = numpy.zeros(256, numpy.int32)
    header[:8] = [20240326, 3, T, V, L, args.heads, C, V]
    random = numpy.random.default_rng(args.seed)
    with open(path, "wb") as file:
        file.write(header.tobytes())
        for index, shape in enumerate(shapes):
            if index in matrices:
                values = random.standard_normal(shape, numpy.float32) * numpy.float32(0.02)
            else:
                values = numpy.full(shape, 1 if index in norms else 0, numpy.float32)
            file.write(values.tobytes())
    return sum(int(numpy.prod(shape)) for shape in shapes)


def write_tokens(path, args, count):
    """Magic 20240520, version 1, the count in a header of 256 int32, then uint16. Three in four from a cycle of 64."""
    random = numpy.random.default_rng(args.seed)
    cycle = numpy.arange(count) * 5 % 64
    tokens = numpy.where(random.random(count) < 0.75, cycle, random.integers(args.vocab, size=count))
    header = numpy.zeros(256, numpy.int32)
    header[:3] = [20240520, 1, count]
    path.write_bytes(header.tobytes() + tokens.astype(numpy.uint16).tobytes())


def build(folder, args):
    source = (Path(args.source) / "train_gpt2.c").read_text()
    for pattern, replacement in [
        (r"int B = \d+;", f"int B = {args.batch};"),
        (r"int T = \d+;", f"int T = {args.seq};"),
        (r"step <= \d+", f"step < {args.warmup + args.steps}"),
        (r"if \(step % 10 == 0\)", "if (0)"),
        (r"if \(step > 0 && step % 20 == 0\)", "if (0)"),
    ]:
        source, found = re.subn(pattern, replacement, source)
        if found != 1:
            raise SystemExit(f"train_gpt2.c has {found} places like {pattern}, and this script knows 1: another version?")
    (folder / "train_gpt2.c").write_text(source)
    subprocess.run(
        ["gcc", "-O3", "-Ofast", "-march=native", "-fno-finite-math-only", "-fopenmp", "-DOMP", "-w",
         f"-I{args.source}", "train_gpt2.c", "-lm", "-o", "train_gpt2"], cwd=folder, check=True)


def cpu_seconds(pid):
    """CPU seconds taken so far by the whole machine (and stolen from it), and by one process."""
    tick = os.sysconf("SC_CLK_TCK")
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    try:
        own = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        own = ["0"] * 15
    return (user + nice + system + irq + softirq + steal) / tick, (int(own[11]) + int(own[12])) / tick


def main():
    args = arguments()
    if not args.source:
        raise SystemExit("set REGAUGE_LLMC to a checkout of llm.c")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "dev/data/tinyshakespeare"
        data.mkdir(parents=True)
        params = write_model(folder / "gpt2_124M.bin", args)
        per_step = args.batch * args.seq
        write_tokens(data / "tiny_shakespeare_train.bin", args, per_step * (args.warmup + args.steps) + 1)
        write_tokens(data / "tiny_shakespeare_val.bin", args, per_step + 1)
        build(folder, args)
        environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
        child = subprocess.Popen(["stdbuf", "-oL", "./train_gpt2"], cwd=folder, env=environment,
                                 stdout=subprocess.PIPE, text=True)
        losses, seconds, foreign, last = [], [], [], None
        for line in child.stdout:
            match = re.match(r"step \d+: train loss ([\d.]+) \(took ([\d.]+) ms\)", line)
            if not match:
                continue
            now = (time.perf_counter(), *cpu_seconds(child.pid))
            losses.append(float(match[1]))
            seconds.append(float(match[2]) / 1000)
            if last:
                wall, busy, own = (a - b for a, b in zip(now, last))
                foreign.append(max(0.0, (busy - own) / wall))
            else:
                foreign.append(0.0)
            last = now
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"train_gpt2 ended with status {status}")
    print(json.dumps({
        "peer": "llm.c",
        "version": "train_gpt2.c",
        "mode": "f32",
        "model": {"hidden": args.hidden, "layers": args.layers, "heads": args.heads,
                  "intermediate": 4 * args.hidden, "vocab": args.vocab, "seq": args.seq, "batch": args.batch, "tied": True},
        "params": params,
        "tokensPerStep": per_step,
        "compileSeconds": 0.0,
        "stepSeconds": seconds[args.warmup:],
        "loss": losses,
        "gradNorm": [],
        "foreignCores": [round(value, 3) for value in foreign[args.warmup:]],
        "peakRssBytes": usage.ru_maxrss * 1024,
        "settings": {"threads": args.threads},
    }))


main()
