"""Holds checkpoints of regauge against Hugging Face transformers; run by test/transformers.slow.test.ts.

    pip install torch==2.13.0 transformers==5.18.0 safetensors
    python scripts/check-transformers.py <folder>

Each folder in <folder> is a case with

checkpoint/         a checkpoint of regauge
ours.json           texts, and their ids by our tokenizer
ours.safetensors    batch I32 [B, T]; logits F32 [B, T, V] of it; greedy I32 [N], the continuation of its first row

For each case it prints one line of JSON with what it found (see `check`), and leaves `saved/`: the model after one
training step in transformers, by `save_pretrained`, and `after.safetensors`: the logits of `batch` by that model.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


class Complaints(logging.Handler):
    """Everything of level warning or above that transformers logs."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def distance(actual, expected):
    """Norm of the difference over the norm of what is expected."""
    return ((actual.double() - expected.double()).norm() / expected.double().norm()).item()


def check(case):
    complaints = Complaints()
    logger = logging.getLogger("transformers")
    logger.addHandler(complaints)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        model, loading = AutoModelForCausalLM.from_pretrained(
            case / "checkpoint", output_loading_info=True, attn_implementation="eager"
        )
        tokenizer = AutoTokenizer.from_pretrained(case / "checkpoint")
    logger.removeHandler(complaints)
    ours = json.loads((case / "ours.json").read_text())
    tensors = load_file(case / "ours.safetensors")
    batch = tensors["batch"].long()
    greedy = tensors["greedy"].long()

    # ours were made past any end of text
    end, model.generation_config.eos_token_id = model.generation_config.eos_token_id, None
    with torch.no_grad():
        logits = model(batch).logits
        prompt = batch[:1]
        generated = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=len(greedy), do_sample=False
        )[0, prompt.shape[1] :]
    model.generation_config.eos_token_id = end
    found = {
        "case": case.name,
        "class": type(model).__name__,
        "dtype": str(model.dtype),
        "keys": {kind: sorted(map(str, keys)) for kind, keys in loading.items() if keys},
        "complaints": complaints.lines + [str(one.message) for one in raised],
        "logits": distance(tensors["logits"], logits),
        "greedy": generated.tolist(),
        "ids": [tokenizer.encode(text, add_special_tokens=False) for text in ours["texts"]],
        "decoded": [tokenizer.decode(ids) for ids in ours["ids"]],
        "eos": [tokenizer.eos_token_id, end],
    }

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    found["loss"] = model(batch, labels=batch).loss
    found["loss"].backward()
    found["loss"] = found["loss"].item()
    optimizer.step()
    model.save_pretrained(case / "saved")
    tokenizer.save_pretrained(case / "saved")
    with torch.no_grad():
        save_file({"logits": model(batch).logits.contiguous()}, case / "after.safetensors")
    return found


def main():
    torch.manual_seed(1)
    transformers.utils.logging.disable_progress_bar()
    for case in sorted(Path(sys.argv[1]).iterdir()):
        if case.is_dir():
            print(json.dumps(check(case)), flush=True)


main()
