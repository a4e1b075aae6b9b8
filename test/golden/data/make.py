"""Makes the parquet files of this folder with pyarrow, which is what most published data sets are written with.

Usage: python make.py (needs pyarrow), then for the zstd files: see the end.
"""

import pathlib
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent
texts = ["first document", "", None, "zweites Dokument: Übung", "第三个文档 👍"] + [f"row {i} " * 8 for i in range(45)]
table = pa.table({"id": list(range(50)), "text": texts, "tags": [["a", "b"]] * 50})

for name, options in {
    "none": {"compression": "none", "use_dictionary": False},
    "snappy": {"compression": "snappy"},
    "gzip": {"compression": "gzip"},
    "zstd": {"compression": "zstd", "data_page_version": "2.0"},
    "brotli": {"compression": "brotli"},
    "lz4": {"compression": "lz4"},
    "delta": {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
    "delta-length": {"use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}},
    "long-statistics": {"write_statistics": True, "data_page_size": 64, "use_dictionary": ["id"]},
}.items():
    pq.write_table(table, here / f"{name}.parquet", row_group_size=20, **options)

bad = pa.array([b"fine", b"\xff\xfe"], type=pa.binary()).view(pa.string())
pq.write_table(pa.table({"text": bad}), here / "not-utf8.parquet")

# Frames of zstd: two after one another, the second with checksum and of many blocks; a skippable one between.
text = "".join(f"line {i} of a text that goes on and on\n" for i in range(6000)).encode()

def zstd(data, *options):
    return subprocess.run(["zstd", "-c", *options], input=data, capture_output=True, check=True).stdout

skippable = bytes.fromhex("502a4d18") + (5).to_bytes(4, "little") + b"skip!"
frames = zstd(text[:1000], "--no-check") + skippable + zstd(text[1000:], "--check")
(here / "frames.txt.zst").write_bytes(frames)
