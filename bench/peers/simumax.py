"""Measures SimuMax, the peer of the planner: the estimates a CPU-second of its own search, and the best it finds.

    REGAUGE_SIMUMAX=<a checkout of github.com/MooreThreads/SimuMax> python simumax.py --workload llama3-8b|deepseekv3

The Python needs pandas, numpy, sympy and tabulate, which SimuMax imports. The search is its
`search_best_parallel_strategy` over the lists it takes by default, with micro-batches of one sequence of 4096 tokens,
its three ways to recompute and 10 GiB a chip left over, as its example searches; an estimate is a call of
`run_estimate` with the analysis of time and memory that follows. llama3-8b is on 64 chips with a batch of 512,
deepseekv3 on 1024 with 8192; `--system` names a file of its folder `configs/system`. A search that takes longer than
`--seconds` of CPU is ended, and the note says so. Prints one JSON line.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

WORKLOADS = {"llama3-8b": (64, 512), "deepseekv3": (1024, 8192)}  # chips, sequences of a batch

folder = os.environ.get("REGAUGE_SIMUMAX")
if not folder or not os.path.isfile(os.path.join(folder, "simumax", "core", "perf_llm.py")):
    raise SystemExit(f"set REGAUGE_SIMUMAX to a checkout of github.com/MooreThreads/SimuMax: it is {folder!r}")
folder = os.path.abspath(folder)
sys.path.insert(0, folder)  # before the folder of this script, which has the same name


class TimeOver(Exception):
    pass


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=list(WORKLOADS), default="llama3-8b")
    parser.add_argument("--system", default="a100_pcie")
    parser.add_argument("--seconds", type=float, default=120, help="of CPU")
    return parser.parse_args()


def configured(args):
    try:
        from simumax.core.config import ModelConfig, StrategyConfig, SystemConfig
        from simumax.core.perf_llm import PerfLLM
    except ImportError as error:
        raise SystemExit(f"SimuMax does not load: {error}; {sys.executable} needs pandas, numpy, sympy and tabulate")

    def file(kind, name):
        return os.path.join(folder, "configs", kind, f"{name}.json")

    planner = PerfLLM()
    planner.configure(
        strategy_config=StrategyConfig.init_from_config_file(file("strategy", "tp1_pp2_dp4_mbs1")),
        model_config=ModelConfig.init_from_config_file(file("models", args.workload)),
        system_config=SystemConfig.init_from_config_file(file("system", args.system)),
    )
    planner.model_config.padded_vocab_size = True
    planner.model_config.make_vocab_size_divisible_by = 128
    if planner.model_config.model_type == "moe":
        planner.model_config.moe_pad_expert_input_to_capacity = True
        planner.model_config.capacity = 1
        planner.strategy.dispatch_probs = True
    return planner


def search(planner, args):
    """Estimates that were done, their CPU-seconds, the best that fits, how many fit, and whether the search came to its end."""
    chips, batch = WORKLOADS[args.workload]
    estimate, begun, results, whole = planner.run_estimate, 0, {}, False

    def counted(*given, **named):
        nonlocal begun
        if time.process_time() - started > args.seconds:
            raise TimeOver
        begun += 1
        return estimate(*given, **named)

    planner.run_estimate = counted
    started = time.process_time()
    try:
        planner.search_best_parallel_strategy(
            world_size=chips, gmi_error=10, micro_batch_size=1, global_batch_size=batch, all_search_result=results,
            verbose=False)
        whole = True
    except TimeOver:
        pass
    seconds = time.process_time() - started
    fitting = [dict(zip(results, row)) for row in zip(*results.values())]
    return begun, seconds, max(fitting, key=lambda row: row["mfu"], default={}), len(fitting), whole


def main():
    args = arguments()
    warnings.simplefilter("ignore")
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SIMUMAX_TMP_PATH"] = scratch
        os.chdir(scratch)  # what it writes while it estimates goes to the folder that it runs in
        try:
            with contextlib.redirect_stdout(sys.stderr):
                evaluations, seconds, best, fitting, whole = search(configured(args), args)
        finally:
            os.chdir(home)
    commit = subprocess.run(["git", "-C", folder, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    tag = subprocess.run(["git", "-C", folder, "describe", "--tags"], capture_output=True, text=True)
    chips, batch = WORKLOADS[args.workload]
    print(json.dumps({
        "peer": "SimuMax",
        "version": f"{tag.stdout.strip()} {commit.stdout.strip()}".strip(),
        "workload": f"{args.workload} on {chips} {args.system}, batch {batch}",
        "evaluations": evaluations,
        "cpuSeconds": seconds,
        "perCpuSecond": evaluations / seconds,
        "feasible": fitting,
        "best": {key: best[key] for key in ("parallelism", "recompute_status", "iter_time", "mfu", "peak_mem")
                 if key in best} or None,
        "note": "its whole search" if whole else f"ended after {args.seconds:g} CPU-seconds, before its search was over",
    }))


main()
