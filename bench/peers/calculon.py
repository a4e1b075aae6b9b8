"""Measures Calculon, the peer of the planner: evaluations a CPU-second, its answers for given layouts, its best one.

    REGAUGE_CALCULON=<a checkout of github.com/calculon-ai/calculon> python calculon.py rate [--logger shipped|warning]
    ... calculon.py layouts FILE        FILE holds {"chips", "globalBatch", "engine"?, "layouts": [...]}
    ... calculon.py best                the best of a random sample of its search space, until --seconds are over

The Python needs pandas and psutil, which Calculon imports. Without more flags it is GPT-3 175B on 64 A100 of 80 GiB
with a batch of 1536, in float16: `--model` and `--system` name files of its folders `models` and `systems`. The space
is Calculon's own (its generator `AllExecutions.all_executions`), one in EVERY of it in an order shuffled by a fixed
seed, and a layout is evaluated as its searches do: compile, run, statistics. Its search gives `logging.Logger('sub')`
to each, which has no level and so formats every message to throw it away; `--logger warning` sets the level.
Prints one JSON line. CPU-seconds are of this one process, without the time to list the space.
"""

import argparse
import itertools
import json
import logging
import os
import random
import subprocess
import sys
import time

EVERY = 101  # a prime, so that no loop of the generator falls in step with it
RECOMPUTE = {"none": "none", "selective": "attn_only", "full": "full"}

folder = os.environ.get("REGAUGE_CALCULON")
if not folder or not os.path.isdir(os.path.join(folder, "calculon", "llm")):
    raise SystemExit(f"set REGAUGE_CALCULON to a checkout of github.com/calculon-ai/calculon: it is {folder!r}")
sys.path.insert(0, folder)
try:
    import calculon
    from calculon.llm.all_executions import AllExecutions
    from calculon.llm.llm import Llm
except ImportError as error:
    raise SystemExit(f"Calculon does not load: {error}; {sys.executable} needs pandas and psutil")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["rate", "layouts", "best"])
    parser.add_argument("file", nargs="?", help="for `layouts`")
    parser.add_argument("--model", default="gpt3-175B")
    parser.add_argument("--system", default="a100_80g")
    parser.add_argument("--chips", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1536)
    parser.add_argument("--logger", choices=["shipped", "warning"], default="warning")
    parser.add_argument("--seconds", type=float, default=20, help="of CPU")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.mode == "layouts" and args.file is None:
        parser.error("layouts takes a FILE")
    return args


args = arguments()
application = Llm.Application(calculon.io.read_json_file(os.path.join(folder, "models", f"{args.model}.json")))
description = calculon.io.read_json_file(os.path.join(folder, "systems", f"{args.system}.json"))
level = {"shipped": logging.NOTSET, "warning": logging.WARNING}[args.logger]


def evaluated(system, execution):
    """Raises Llm.Error for what cannot be."""
    model = Llm(application, logging.Logger("sub", level))
    model.compile(system, execution)
    model.run(system)
    return model.get_stats_json(False)


def sample(system):
    """Executions in random order, and how many there are in all."""
    every = AllExecutions.all_executions(application, system, args.chips, args.batch, "float16", [True])
    kept, total = [], 0
    for total, values in enumerate(every, 1):
        if total % EVERY == 1:
            kept.append(values)
    random.Random(args.seed).shuffle(kept)
    return kept, total


def search():
    """Evaluates the sample until the time is over; gives what was counted and the best of all, and without offload."""
    system = calculon.System(description)
    started = time.process_time()
    executions, total = sample(system)
    listing = time.process_time() - started
    counts = {"evaluations": 0, "network": 0, "memory": 0, "other": 0, "feasible": 0}
    best, resident = None, None
    started = time.process_time()
    for values in executions:
        if time.process_time() - started > args.seconds:
            break
        execution = Llm.Execution(*values)
        counts["evaluations"] += 1
        try:
            stats = evaluated(system, execution)
        except Llm.Error as error:
            reason = str(error).split(" ")[0].lower()
            counts[{"network": "network", "mem": "memory"}.get(reason, "other")] += 1
            continue
        counts["feasible"] += 1
        found = (stats["sample_rate"], execution, stats)
        if best is None or found[0] > best[0]:
            best = found
        moved = execution.weight_offload or execution.activations_offload or execution.optimizer_offload
        if not moved and (resident is None or found[0] > resident[0]):
            resident = found
    seconds = time.process_time() - started
    return counts, total, listing, seconds, best, resident


def answer(stats, capacity):
    """Seconds of a batch and bytes of a chip; the terms of memory count what is offloaded as well."""
    return {
        "seconds": stats["total_time"],
        "memoryBytes": stats["proc_mem_tier1_cap_req"],
        "fits": stats["proc_mem_tier1_cap_req"] <= capacity,
        "memory": {
            "weights": stats["weight_space"],
            "gradients": stats["weight_grad_space"],
            "optimizer": stats["optimizer_space"],
            "activations": stats["act_space"] + stats["act_checkpoint_size"],
            "transient": stats["act_grad_space"],
        },
    }


def layout_of(execution):
    """What a layout of ours says of an execution; the rest of it is in the execution alone."""
    e = execution
    return {
        "tensorParallel": e.tensor_par,
        "sequenceParallel": e.tensor_par_comm_type == "rs_ag",
        "contextParallel": 1,
        "pipelineParallel": e.pipeline_par,
        "virtualPipeline": e.pipeline_interleaving,
        "dataParallel": e.data_par,
        "expertParallel": 1,
        "expertTensorParallel": 1,
        "zeroStage": 1 if e.optimizer_sharding else 0,
        "microBatch": e.microbatch_size,
        "recompute": next(ours for ours, theirs in RECOMPUTE.items() if theirs == e.activation_recompute),
        "offloadOptimizer": e.optimizer_offload,
        "schedule": "interleaved" if e.pipeline_interleaving > 1 else "1f1b",
    }


def unlike(layout):
    """What a layout asks for that Calculon does not have; None when it has all."""
    for key in ("contextParallel", "expertParallel", "expertTensorParallel"):
        if layout.get(key, 1) > 1:
            return f"{key} {layout[key]}"
    if layout.get("zeroStage", 0) > 1:
        return f"zeroStage {layout['zeroStage']}"
    if layout.get("schedule", "1f1b") not in ("1f1b", "interleaved"):
        return f"schedule {layout['schedule']}"
    for key in ("stageLayers", "recomputeLayers", "shardGroup"):
        if layout.get(key) is not None:
            return key
    return None


def executions_of(layout, given):
    """The layout on each choice of networks that Calculon could make."""
    tensor, pipeline = layout["tensorParallel"], layout.get("pipelineParallel", 1)
    data, sequence = layout.get("dataParallel", 1), layout.get("sequenceParallel", False)
    recompute = RECOMPUTE[layout.get("recompute", "none")]
    engine = given.get("engine", {})
    tiers = range(len(description["networks"]))
    for networks in itertools.product(*(tiers if degree > 1 else [0] for degree in (tensor, pipeline, data))):
        yield Llm.Execution.from_json({
            "num_procs": given["chips"],
            "tensor_par": tensor,
            "pipeline_par": pipeline,
            "data_par": data,
            "tensor_par_net": networks[0],
            "pipeline_par_net": networks[1],
            "data_par_net": networks[2],
            "batch_size": given["globalBatch"],
            "microbatch_size": layout["microBatch"],
            "datatype": "float16",
            "fused_activation": engine.get("fusedElementwise", True),
            "attention_type": "multihead",
            "activation_recompute": recompute,
            "pipeline_interleaving": layout.get("virtualPipeline", 1),
            "optimizer_sharding": layout.get("zeroStage", 0) > 0 and data > 1,
            "tensor_par_comm_type": "rs_ag" if sequence else "ar",
            "tensor_par_overlap": "ring" if engine.get("overlapsTensor", False) and tensor > 1 else "none",
            # Megatron keeps the share of a chip and gathers it again (Korthikanti et al. 2022, section 4.2.2)
            "seq_par_ag_redo": sequence and recompute != "full",
            "data_par_overlap": engine.get("overlapsData", False) and data > 1,
            "weight_offload": False,
            "activations_offload": False,
            "optimizer_offload": layout.get("offloadOptimizer", False),
            "training": True,
        })


def predict(layout, given, system, capacity):
    """The faster of the networks it can be on; a reason where there is none."""
    missing = unlike(layout)
    if missing is not None:
        return {"error": f"Calculon has no {missing}"}
    found, reason = None, None
    try:
        for execution in executions_of(layout, given):
            try:
                stats = evaluated(system, execution)
            except Llm.Error as error:
                reason = str(error)
                continue
            if found is None or stats["total_time"] < found["total_time"]:
                found = stats
    except AssertionError as error:
        return {"error": f"Calculon refuses it: {error or 'a degree does not divide'}"}
    return {"error": reason} if found is None else answer(found, capacity)


def main():
    commit = subprocess.run(["git", "-C", folder, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    line = {"peer": "Calculon", "version": f"{calculon.__version__} {commit.stdout.strip()}".strip()}
    capacity = description["mem1"]["GiB"] * 2**30
    if args.mode == "layouts":
        with open(args.file) as file:
            given = json.load(file)
        # Without a limit it tells the memory of what does not fit as well
        endless = {**description, "mem1": {**description["mem1"], "GiB": 2**40}}
        system = calculon.System(endless)
        line["workload"] = f"{args.model} on {given['chips']} {args.system}, batch {given['globalBatch']}"
        line["layouts"] = [predict(layout, given, system, capacity) for layout in given["layouts"]]
        print(json.dumps(line))
        return
    counts, total, listing, seconds, best, resident = search()
    costed = counts["evaluations"] - counts["network"]
    line |= {
        "workload": f"{args.model} on {args.chips} {args.system}, batch {args.batch}",
        "evaluations": counts["evaluations"],
        "cpuSeconds": seconds,
        "perCpuSecond": counts["evaluations"] / seconds,
        "costedPerCpuSecond": costed / seconds,
        "space": total,
        "spaceListingCpuSeconds": listing,
        "rejected": {key: counts[key] for key in ("network", "memory", "other")},
        "feasible": counts["feasible"],
        "note": f"logger {'as shipped' if args.logger == 'shipped' else 'at WARNING'}; "
                f"{counts['network']} were refused for their networks before anything was computed, "
                f"without them it is {costed / seconds:.1f} a CPU-second",
    }
    if args.mode == "best":
        for key, found in (("best", best), ("bestWithoutOffload", resident)):
            line[key] = found and {
                **answer(found[2], capacity), "layout": layout_of(found[1]), "execution": found[1].get_json()}
    print(json.dumps(line))


main()
