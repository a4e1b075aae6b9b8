"""Writes test/golden/indexed-dataset: what Megatron-LM's own builder makes of a few token lists.

    python scripts/golden-indexed-dataset.py PATH_TO_MEGATRON_LM test/golden/indexed-dataset

Needs torch and numpy. For each case NAME.json (tokens by document, vocabulary size), NAME.bin, NAME.idx.
"""
import importlib
import json
import pathlib
import sys
import types

megatron_lm, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

# The package's __init__ files import the whole training stack, of which the builder needs nothing.
for name in ("megatron", "megatron.core", "megatron.core.datasets"):
    package = types.ModuleType(name)
    package.__path__ = [str(megatron_lm.joinpath(*name.split(".")))]
    sys.modules[name] = package
# Of megatron.core.utils, which needs that stack too, the builder uses only a log helper.
utils = types.ModuleType("megatron.core.utils")
utils.log_single_rank = lambda *args, **kwargs: None
sys.modules[utils.__name__] = utils
indexed_dataset = importlib.import_module("megatron.core.datasets.indexed_dataset")

CASES = {
    "uint16": (65499, [[1, 2, 3], [65498, 0], [7] * 300, [42]]),
    "int32": (65500, [[1, 2, 3], [65499, 0], [7] * 300, [42]]),
    "int32-large": (2**31 - 1, [[2**31 - 2, 0, 65536], list(range(1000, 1100))]),
    "one-document": (256, [list(range(256))]),
    "empty-documents": (256, [[], [1, 2], [], [], [3], []]),
    "nothing": (256, []),
}

out.mkdir(parents=True, exist_ok=True)
for name, (vocab_size, documents) in CASES.items():
    dtype = indexed_dataset.DType.optimal_dtype(vocab_size)
    builder = indexed_dataset.IndexedDatasetBuilder(str(out / f"{name}.bin"), dtype=dtype)
    for tokens in documents:
        # As tools/preprocess_data.py does: a document without tokens has no sequence.
        builder.add_document(tokens, [len(tokens)] if tokens else [])
    builder.finalize(str(out / f"{name}.idx"))
    case = {"vocabSize": vocab_size, "documents": documents}
    (out / f"{name}.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")
