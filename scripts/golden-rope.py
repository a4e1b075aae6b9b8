"""Writes test/golden/rope.json: the rotary tables of Hugging Face transformers for every scaling type.

    pip install torch==2.13.0 transformers==5.18.0
    python scripts/golden-rope.py

Each case holds the keys of a config.json, the head size, the length of the sequence and, for a few of its
positions, the first half of the cosines and of the sines (the second half repeats it), as float32.
"""

import json
from pathlib import Path

import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

FILE = Path(__file__).resolve().parent.parent / "test" / "golden" / "rope.json"
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 512}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
SHORT = [1.0 + 0.05 * i for i in range(16)]
LONG = [1.0 + 0.7 * i for i in range(16)]
LONGROPE = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
            "original_max_position_embeddings": 512}

# name: (keys of rope_parameters, max_position_embeddings, head size, length)
CASES = {
    "default": ({"rope_type": "default"}, 2048, 64, 2048),
    "default, another base": ({"rope_type": "default", "rope_theta": 1e6}, 8192, 128, 8192),
    "default, small head": ({"rope_type": "default"}, 64, 2, 64),
    "linear": ({"rope_type": "linear", "factor": 2.5}, 2048, 32, 2048),
    "dynamic, short": ({"rope_type": "dynamic", "factor": 2.0}, 512, 32, 300),
    "dynamic, at the limit": ({"rope_type": "dynamic", "factor": 2.0}, 512, 32, 512),
    "dynamic, beyond": ({"rope_type": "dynamic", "factor": 2.0}, 512, 32, 1500),
    "llama3": (LLAMA3, 4096, 64, 4096),
    "llama3, another base": ({**LLAMA3, "rope_theta": 500000.0, "factor": 32.0}, 4096, 128, 4096),
    "yarn": (YARN, 2048, 64, 2048),
    "yarn without factor": ({k: v for k, v in YARN.items() if k != "factor"} | {"factor": None}, 1536, 64, 1500),
    "yarn with attention factor": ({**YARN, "attention_factor": 1.25}, 2048, 32, 900),
    "yarn with betas": ({**YARN, "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}, 2048, 64, 900),
    "yarn with mscale": ({**YARN, "mscale": 0.8, "mscale_all_dim": 1.0}, 2048, 64, 900),
    "yarn without stretch": ({**YARN, "factor": 1.0}, 512, 32, 500),
    "longrope, short": (LONGROPE, 2048, 32, 512),
    "longrope, long": (LONGROPE, 2048, 32, 513),
    "longrope with factor": ({**LONGROPE, "factor": 6.0}, 2048, 32, 700),
    "longrope with attention factor": ({**LONGROPE, "attention_factor": 1.5}, 2048, 32, 700),
}


def tables(rope, maximum, head, length):
    rope = {"rope_theta": 10000.0, **rope}
    config = transformers.LlamaConfig(
        hidden_size=4 * head, num_attention_heads=4, head_dim=head, max_position_embeddings=maximum,
        rope_parameters=dict(rope),
    )
    cos, sin = LlamaRotaryEmbedding(config)(torch.zeros(1), torch.arange(length)[None])
    positions = sorted({1, 100 % length, length // 2, length - 1})
    half = [[float(f"{x:.8g}") for x in table[0, positions, : head // 2].flatten().tolist()] for table in (cos, sin)]
    return {
        "config": {"max_position_embeddings": maximum, "rope_parameters": rope},
        "headSize": head, "length": length, "positions": positions, "cos": half[0], "sin": half[1],
    }


FILE.write_text(json.dumps({name: tables(*case) for name, case in CASES.items()}) + "\n")
print(f"{FILE.name}: {len(CASES)} cases, {FILE.stat().st_size} bytes")
