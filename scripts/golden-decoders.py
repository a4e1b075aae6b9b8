"""Writes test/golden/decoders/counts.json: the parameters of decoders as Hugging Face transformers builds them.

    pip install torch==2.13.0 transformers==5.18.0
    python scripts/golden-decoders.py

Each case holds the keys of a config.json and the parameters that have gradients: all of them, those of the first and
of the last layer, and those of routed experts. Small cases are every family with each of its switches turned; the
others have the sizes of published models. Nothing is allocated.
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

FILE = Path(__file__).resolve().parent.parent / "test" / "golden" / "decoders" / "counts.json"
transformers.logging.set_verbosity_error()

SMALL = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": None, "eos_token_id": 1, "bos_token_id": 1}
NO_GROUPS = {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
GPT2 = {"vocab_size": 100, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 32}
LATENT = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "v_head_dim": 10}
ROUTED = {"n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 20,
          "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
QWEN_MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LOCAL = {"num_local_experts": 6, "num_experts_per_tok": 2}
UNTIED, TIED = {"tie_word_embeddings": False}, {"tie_word_embeddings": True}
BIAS = {"attention_bias": True}

# family: (keys, variants of them)
FAMILIES = {
    "llama": (SMALL, [TIED, BIAS, {"mlp_bias": True}, {"head_dim": 20}, {"num_key_value_heads": None}]),
    "mistral": (SMALL, [TIED, {"head_dim": 20}]),
    "mixtral": (SMALL | LOCAL, [TIED]),
    "llama4_text": (SMALL | LOCAL | {"intermediate_size_mlp": 112, "head_dim": 16},
                    [{"interleave_moe_layer_step": 2}, BIAS]),
    "qwen2": (SMALL, [TIED]),
    "qwen2_moe": (SMALL | QWEN_MOE | {"shared_expert_intermediate_size": 36},
                  [{"decoder_sparse_step": 2}, {"mlp_only_layers": [0, 3]}, {"qkv_bias": False}]),
    "qwen3": (SMALL, [TIED, BIAS, {"head_dim": 20}]),
    "qwen3_moe": (SMALL | QWEN_MOE, [BIAS, {"mlp_only_layers": [1]}, {"head_dim": 20}]),
    "deepseek_v2": (SMALL | LATENT | ROUTED, [BIAS, {"q_lora_rank": None}, {"n_shared_experts": 1}]),
    "deepseek_v3": (SMALL | LATENT | ROUTED, [BIAS, {"q_lora_rank": None}, {"first_k_dense_replace": 3}]),
    "gpt2": (GPT2, [UNTIED, {"n_inner": 100}]),
    "gpt_bigcode": (GPT2, [{"multi_query": False}, UNTIED]),
    "gpt_neo": ({"vocab_size": 100, "hidden_size": 64, "num_layers": 4, "num_heads": 4, "max_position_embeddings": 32,
                 "attention_types": [[["global", "local"], 2]]}, [{"intermediate_size": 100}]),
    "gptj": (GPT2 | {"rotary_dim": 8}, [{"n_inner": 100}]),
    "gpt_neox": (NO_GROUPS, [TIED, {"attention_bias": False}]),
    "opt": ({"vocab_size": 100, "hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
             "word_embed_proj_dim": 64, "max_position_embeddings": 32},
            [UNTIED, {"enable_bias": False}, {"layer_norm_elementwise_affine": False}]),
    "bloom": ({"vocab_size": 100, "hidden_size": 64, "n_layer": 3, "n_head": 4}, []),
    "mpt": ({"vocab_size": 100, "d_model": 64, "n_layers": 3, "n_heads": 4}, []),
    "falcon": ({"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4},
               [{"multi_query": False}, {"bias": True}, {"parallel_attn": False}, UNTIED, {"ffn_hidden_size": 100},
                {"new_decoder_architecture": True, "num_kv_heads": 2},
                {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}]),
    "starcoder2": (SMALL, [UNTIED, {"use_bias": False}]),
    "gemma": (SMALL | {"head_dim": 20}, [BIAS]),
    "gemma2": (SMALL | {"head_dim": 20}, [BIAS]),
    "gemma3_text": (SMALL | {"head_dim": 20}, [BIAS]),
    "phi": (SMALL, [{"qk_layernorm": True}, {"num_key_value_heads": None}]),
    "phi3": (SMALL, [TIED]),
    "phimoe": (SMALL | LOCAL, [BIAS, {"lm_head_bias": True}]),
    "arcee": (SMALL, [BIAS, {"mlp_bias": True}]),
    "nemotron": (SMALL | {"head_dim": 20}, [BIAS, {"mlp_bias": True}]),
    "cohere": (SMALL, [BIAS, {"use_qk_norm": True}]),
    "cohere2": (SMALL | {"head_dim": 16}, [BIAS]),
    "seed_oss": (SMALL | {"head_dim": 20}, [{"attention_out_bias": True}, {"attention_bias": False}]),
    "exaone4": (SMALL, [TIED]),
    "minimax_m2": (SMALL | LOCAL | {"head_dim": 20}, []),
    "minicpm3": (NO_GROUPS | LATENT | {"num_key_value_heads": 4}, [UNTIED, BIAS]),
    "glm": (SMALL | {"head_dim": 16}, [{"attention_bias": False}]),
    "glm4": (SMALL | {"head_dim": 16}, [{"attention_bias": False}]),
    "glm4_moe": (SMALL | ROUTED, [BIAS, {"use_qk_norm": True}, {"head_dim": 20}]),
    "dbrx": ({"vocab_size": 100, "d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 32,
              "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 10000.0},
              "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2}}, []),
    "olmo": (SMALL, [TIED, BIAS]),
    "olmo2": (SMALL, [BIAS]),
    "olmo3": (SMALL, [BIAS]),
    "olmoe": (SMALL | {"num_experts": 6, "num_experts_per_tok": 2}, [BIAS]),
    "gpt_oss": (SMALL | LOCAL | {"head_dim": 16}, [{"attention_bias": False}, TIED]),
    "ernie4_5": (SMALL, [UNTIED, {"use_bias": True}]),
    "ernie4_5_moe": (SMALL | {"moe_num_experts": 4, "moe_intermediate_size": 24, "moe_k": 2},
                     [{"moe_layer_start_index": 2}, {"moe_layer_interval": 2}, {"moe_layer_end_index": 2},
                      {"moe_num_shared_experts": 1}]),
    # without rules of their own
    "granite": (SMALL, [TIED, BIAS, {"mlp_bias": True}]),
    "smollm3": (SMALL, [BIAS]),
    "helium": (SMALL | {"head_dim": 16}, [TIED]),
    "solar_open": ({k: v for k, v in (SMALL | ROUTED).items() if k not in ("intermediate_size", "first_k_dense_replace")} | {"head_dim": 16}, []),
}


def sizes(family, hidden, intermediate, layers, heads, groups, vocabulary, **rest):
    return {"model_type": family, "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": groups,
            "vocab_size": vocabulary, **rest}


def gpt(family, hidden, layers, heads, vocabulary, positions, **rest):
    return {"model_type": family, "n_embd": hidden, "n_layer": layers, "n_head": heads, "vocab_size": vocabulary,
            "n_positions": positions, **rest}


MLA = {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}

# sizes of published models
PUBLISHED = {
    "Llama-2-7B": sizes("llama", 4096, 11008, 32, 32, 32, 32000),
    "Llama-2-13B": sizes("llama", 5120, 13824, 40, 40, 40, 32000),
    "Llama-2-70B": sizes("llama", 8192, 28672, 80, 64, 8, 32000),
    "Llama-3.1-8B": sizes("llama", 4096, 14336, 32, 32, 8, 128256),
    "Llama-3.1-70B": sizes("llama", 8192, 28672, 80, 64, 8, 128256),
    "Llama-3.1-405B": sizes("llama", 16384, 53248, 126, 128, 8, 128256),
    "Llama-4-Scout": sizes("llama4_text", 5120, 8192, 48, 40, 8, 202048, intermediate_size_mlp=16384, head_dim=128,
                           num_local_experts=16, num_experts_per_tok=1, interleave_moe_layer_step=1),
    "Llama-4-Maverick": sizes("llama4_text", 5120, 8192, 48, 40, 8, 202048, intermediate_size_mlp=16384, head_dim=128,
                              num_local_experts=128, num_experts_per_tok=1, interleave_moe_layer_step=2),
    "Mistral-7B": sizes("mistral", 4096, 14336, 32, 32, 8, 32000),
    "Mixtral-8x7B": sizes("mixtral", 4096, 14336, 32, 32, 8, 32000, num_local_experts=8, num_experts_per_tok=2),
    "Mixtral-8x22B": sizes("mixtral", 6144, 16384, 56, 48, 8, 32768, num_local_experts=8, num_experts_per_tok=2),
    "Qwen2-72B": sizes("qwen2", 8192, 29568, 80, 64, 8, 152064),
    "Qwen2.5-32B": sizes("qwen2", 5120, 27648, 64, 40, 8, 152064),
    "Qwen2-57B-A14B": sizes("qwen2_moe", 3584, 18944, 28, 28, 4, 151936, num_experts=64, num_experts_per_tok=8,
                            moe_intermediate_size=2560, shared_expert_intermediate_size=20480),
    "Qwen3-32B": sizes("qwen3", 5120, 25600, 64, 64, 8, 151936, head_dim=128),
    "Qwen3-30B-A3B": sizes("qwen3_moe", 2048, 6144, 48, 32, 4, 151936, head_dim=128, num_experts=128,
                           num_experts_per_tok=8, moe_intermediate_size=768),
    "Qwen3-235B-A22B": sizes("qwen3_moe", 4096, 12288, 94, 64, 4, 151936, head_dim=128, num_experts=128,
                             num_experts_per_tok=8, moe_intermediate_size=1536),
    "DeepSeek-V2": sizes("deepseek_v2", 5120, 12288, 60, 128, 128, 102400, **MLA, q_lora_rank=1536,
                         n_routed_experts=160, n_shared_experts=2, num_experts_per_tok=6, moe_intermediate_size=1536,
                         first_k_dense_replace=1),
    "DeepSeek-V2-Lite": sizes("deepseek_v2", 2048, 10944, 27, 16, 16, 102400, **MLA, q_lora_rank=None,
                              n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
                              moe_intermediate_size=1408, first_k_dense_replace=1),
    "DeepSeek-V3": sizes("deepseek_v3", 7168, 18432, 61, 128, 128, 129280, **MLA, q_lora_rank=1536,
                         n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, moe_intermediate_size=2048,
                         first_k_dense_replace=3),
    "Kimi-K2": sizes("deepseek_v3", 7168, 18432, 61, 64, 64, 163840, **MLA, q_lora_rank=1536, n_routed_experts=384,
                     n_shared_experts=1, num_experts_per_tok=8, moe_intermediate_size=2048, first_k_dense_replace=1),
    "GPT-2": gpt("gpt2", 768, 12, 12, 50257, 1024),
    "GPT-2-XL": gpt("gpt2", 1600, 48, 25, 50257, 1024),
    "StarCoder": gpt("gpt_bigcode", 6144, 40, 48, 49152, 8192, n_inner=24576),
    "GPT-J-6B": gpt("gptj", 4096, 28, 16, 50400, 2048, rotary_dim=64),
    "GPT-Neo-2.7B": {"model_type": "gpt_neo", "hidden_size": 2560, "num_layers": 32, "num_heads": 20,
                     "vocab_size": 50257, "max_position_embeddings": 2048,
                     "attention_types": [[["global", "local"], 16]]},
    "GPT-NeoX-20B": {"model_type": "gpt_neox", "hidden_size": 6144, "intermediate_size": 24576,
                     "num_hidden_layers": 44, "num_attention_heads": 64, "vocab_size": 50432},
    "OPT-66B": {"model_type": "opt", "hidden_size": 9216, "ffn_dim": 36864, "num_hidden_layers": 64,
                "num_attention_heads": 72, "vocab_size": 50272, "max_position_embeddings": 2048,
                "word_embed_proj_dim": 9216},
    "OPT-175B": {"model_type": "opt", "hidden_size": 12288, "ffn_dim": 49152, "num_hidden_layers": 96,
                 "num_attention_heads": 96, "vocab_size": 50272, "max_position_embeddings": 2048,
                 "word_embed_proj_dim": 12288},
    "BLOOM-176B": {"model_type": "bloom", "hidden_size": 14336, "n_layer": 70, "n_head": 112, "vocab_size": 250880},
    "MPT-7B": {"model_type": "mpt", "d_model": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 50432},
    "Falcon-7B": {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
                  "vocab_size": 65024, "multi_query": True},
    "Falcon-40B": {"model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128,
                   "num_kv_heads": 8, "new_decoder_architecture": True, "vocab_size": 65024},
    "Falcon-180B": {"model_type": "falcon", "hidden_size": 14848, "num_hidden_layers": 80, "num_attention_heads": 232,
                    "num_kv_heads": 8, "new_decoder_architecture": True, "vocab_size": 65024},
    "StarCoder2-15B": sizes("starcoder2", 6144, 24576, 40, 48, 4, 49152, tie_word_embeddings=False),
    "Gemma-7B": sizes("gemma", 3072, 24576, 28, 16, 16, 256000, head_dim=256),
    "Gemma-2-27B": sizes("gemma2", 4608, 36864, 46, 32, 16, 256000, head_dim=128),
    "Gemma-3-27B": sizes("gemma3_text", 5376, 21504, 62, 32, 16, 262208, head_dim=128),
    "Phi-2": sizes("phi", 2560, 10240, 32, 32, 32, 51200),
    "Phi-3-mini": sizes("phi3", 3072, 8192, 32, 32, 32, 32064),
    "Phi-3.5-MoE": sizes("phimoe", 4096, 6400, 32, 32, 8, 32064, attention_bias=True, lm_head_bias=True,
                         num_local_experts=16, num_experts_per_tok=2),
    "Nemotron-4-340B": sizes("nemotron", 18432, 73728, 96, 96, 8, 256000, head_dim=192),
    "Command-R": sizes("cohere", 8192, 22528, 40, 64, 64, 256000),
    "MiniMax-M2": sizes("minimax_m2", 3072, 1536, 62, 48, 8, 200064, head_dim=128, num_local_experts=256,
                        num_experts_per_tok=8),
    "GLM-4-9B": sizes("glm", 4096, 13696, 40, 32, 2, 151552, head_dim=128, attention_bias=True),
    "GLM-4-32B": sizes("glm4", 6144, 23040, 61, 48, 2, 151552, head_dim=128, attention_bias=False),
    "GLM-4.5": sizes("glm4_moe", 5120, 12288, 92, 96, 8, 151552, head_dim=128, attention_bias=True, use_qk_norm=True,
                     n_routed_experts=160, n_shared_experts=1, num_experts_per_tok=8, moe_intermediate_size=1536,
                     first_k_dense_replace=3),
    "DBRX": {"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768,
             "vocab_size": 100352, "attn_config": {"kv_n_heads": 8, "clip_qkv": 8, "rope_theta": 500000.0},
             "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}},
    "OLMo-7B": sizes("olmo", 4096, 11008, 32, 32, 32, 50304),
    "OLMo-2-13B": sizes("olmo2", 5120, 13824, 40, 40, 40, 100352),
    "OLMoE-1B-7B": sizes("olmoe", 2048, 1024, 16, 16, 16, 50304, num_experts=64, num_experts_per_tok=8),
    "gpt-oss-20b": sizes("gpt_oss", 2880, 2880, 24, 64, 8, 201088, head_dim=64, num_local_experts=32,
                         num_experts_per_tok=4),
    "gpt-oss-120b": sizes("gpt_oss", 2880, 2880, 36, 64, 8, 201088, head_dim=64, num_local_experts=128,
                          num_experts_per_tok=4),
    "Falcon-2-11B": {"model_type": "falcon", "hidden_size": 4096, "num_hidden_layers": 60, "num_attention_heads": 32,
                     "num_kv_heads": 8, "new_decoder_architecture": True, "num_ln_in_parallel_attn": 1,
                     "ffn_hidden_size": 16384, "vocab_size": 65024, "tie_word_embeddings": False},
    "ERNIE-4.5-21B-A3B": sizes("ernie4_5_moe", 2560, 12288, 28, 20, 4, 103424, moe_num_experts=64, moe_k=6,
                               moe_intermediate_size=1536, moe_num_shared_experts=2, moe_layer_start_index=1),
}


def count(config):
    family = config["model_type"]
    rest = {k: json.loads(json.dumps(v)) for k, v in config.items() if k != "model_type"}
    # a small vocabulary has none of the special tokens
    rest |= {k: None for k in ("pad_token_id", "bos_token_id", "eos_token_id") if config["vocab_size"] < 1000}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **rest))
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = lists[0]

    def total(module, only=""):
        return sum(p.numel() for name, p in module.named_parameters() if p.requires_grad and only in f".{name}")

    return {
        "config": {k: v for k, v in config.items() if not k.endswith("_token_id")},
        "total": total(model),
        "firstLayer": total(layers[0]),
        "lastLayer": total(layers[-1]),
        "experts": total(model, ".experts."),
    }


def cases():
    for family, (keys, variants) in FAMILIES.items():
        for variant in [{}, *variants]:
            said = ", ".join(f"{key} {json.dumps(value)}" for key, value in variant.items())
            yield f"{family}{', ' if said else ''}{said}", {"model_type": family, **keys, **variant}
    yield from PUBLISHED.items()


if __name__ == "__main__":
    found, failed = {}, []
    for name, config in cases():
        try:
            found[name] = count(config)
        except Exception as error:  # noqa: BLE001
            failed.append(f"{name}: {error!r}"[:300])
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items()) + "\n}\n")
    print(f"{FILE.name}: {len(found)} cases, {FILE.stat().st_size} bytes", *failed, sep="\n")
