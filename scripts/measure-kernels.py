"""Times kernels of training on one GPU, for `npm run fit`: products, those of experts, attention, element by element.

    python scripts/measure-kernels.py CHIP > scripts/evidence/kernels/CHIP.jsonl

CHIP is an id of `regauge chips`. Each kernel runs again and again for long enough that clocks and power settle, which is how
training has them; `seconds` is the mean of one. Needs PyTorch 2.11 or later on an NVIDIA GPU with fp8; takes about a minute and a half.
"""

import json
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

# gradients of compiled functions are taken many times
import torch._functorch.config

torch._functorch.config.donated_buffer = False
HALF = torch.bfloat16
EIGHTH = torch.float8_e4m3fn


def emit(**row):
    print(json.dumps(row, separators=(",", ":")), flush=True)


def random(*shape, scale=1.0):
    """Values as training has them: zeros would draw less power and run faster."""
    return torch.empty(*shape, device="cuda", dtype=HALF).normal_(0, scale)


def seconds(kernel, lasting=0.06):
    """Mean of calls one after the other."""
    for _ in range(2):
        kernel()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    kernel()
    end.record()
    end.synchronize()
    times = int(max(5, min(2000, lasting / max(begin.elapsed_time(end) / 1e3, 1e-6))))
    begin.record()
    for _ in range(times):
        kernel()
    end.record()
    end.synchronize()
    return float(f"{begin.elapsed_time(end) / 1e3 / times:.4g}")


# (from, to) of matrices of decoders of 1 to 175 billion parameters, some split over eight chips
MATRICES = (
    (2048, 3072), (2048, 16384), (8192, 2048), (4096, 6144), (4096, 28672), (14336, 4096), (5120, 1920), (8192, 1280),
    (8192, 7168), (3584, 8192), (12288, 4608), (6144, 12288), (2048, 768), (768, 2048), (4096, 16032),
)


def products():
    for tokens in (1024, 2048, 4096, 8192, 16384):
        for k, n in MATRICES:
            if not 4e9 <= 2 * tokens * k * n <= 4e12:
                continue
            x, w, gradient = random(tokens, k), random(n, k, scale=0.02), random(tokens, n)
            total = torch.zeros(n, k, device="cuda", dtype=HALF)
            emit(kernel="product", m=tokens, n=n, k=k, seconds=seconds(lambda: torch.mm(x, w.t())))
            emit(kernel="product", m=tokens, n=k, k=n, seconds=seconds(lambda: torch.mm(gradient, w)))
            emit(kernel="product", m=n, n=k, k=tokens, seconds=seconds(lambda: torch.mm(gradient.t(), x, out=total)))


def products_of_8_bits():
    one = torch.ones((), device="cuda")
    for tokens in (4096, 8192, 16384):
        for k, n in MATRICES:
            x, w = random(tokens, k).to(EIGHTH), random(n, k, scale=0.02).to(EIGHTH)
            run = lambda: torch._scaled_mm(x, w.t(), scale_a=one, scale_b=one, out_dtype=HALF)
            emit(kernel="product8", m=tokens, n=n, k=k, seconds=seconds(run))


def grouped():
    for groups, rows, k, n in (
        (8, 256, 4096, 28672), (8, 1024, 4096, 28672), (2, 4096, 4096, 28672), (8, 1024, 14336, 4096),
        (16, 512, 2048, 1536), (64, 128, 2048, 1536), (64, 512, 2048, 1536), (16, 2048, 2048, 1536),
        (128, 256, 2048, 1536), (128, 512, 768, 2048), (8, 1024, 7168, 4096), (32, 256, 7168, 4096),
        (8, 4096, 7168, 4096), (8, 1024, 2048, 7168), (32, 512, 5120, 3072), (40, 616, 1536, 5120),
    ):
        x, w, gradient = random(groups * rows, k), random(groups, n, k, scale=0.02), random(groups * rows, n)
        ends = torch.arange(1, groups + 1, device="cuda", dtype=torch.int32) * rows
        size = dict(kernel="grouped", groups=groups)
        forward = lambda: torch._grouped_mm(x, w.transpose(-2, -1), offs=ends)
        emit(**size, m=rows, n=n, k=k, seconds=seconds(forward))
        emit(**size, m=rows, n=k, k=n, seconds=seconds(lambda: torch._grouped_mm(gradient, w, offs=ends)))
        emit(**size, m=n, n=k, k=rows, seconds=seconds(lambda: torch._grouped_mm(gradient.t(), x, offs=ends)))


def attention():
    for by, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash-attention-2", SDPBackend.FLASH_ATTENTION)):
        for heads, key_heads, key_size, value_size in ((32, 8, 128, 128), (32, 32, 64, 64), (16, 16, 192, 128)):
            if by != "cudnn" and key_size != value_size:
                continue
            for batch, tokens in ((8, 1024), (4, 2048), (2, 4096), (1, 4096), (1, 8192), (1, 32768)):
                query = random(batch, heads, tokens, key_size).requires_grad_()
                key = random(batch, key_heads, tokens, key_size).requires_grad_()
                value = random(batch, key_heads, tokens, value_size).requires_grad_()
                gradient = random(batch, heads, tokens, value_size)
                size = dict(kernel="attention", by=by, batch=batch, tokens=tokens, heads=heads, key_heads=key_heads,
                            key_size=key_size, value_size=value_size)
                with sdpa_kernel([backend]):
                    run = lambda: F.scaled_dot_product_attention(query, key, value, is_causal=True,
                                                                 enable_gqa=heads != key_heads)
                    with torch.no_grad():
                        forward = seconds(run)
                    out = run()
                    back = lambda: torch.autograd.grad(out, (query, key, value), gradient, retain_graph=True)
                    emit(**size, **{"pass": "forward"}, seconds=forward)
                    emit(**size, **{"pass": "backward"}, seconds=seconds(back))


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


def elementwise():
    tokens, width = 8192, 4096
    x, y, gain, bias = (random(*shape).requires_grad_() for shape in ((tokens, width), (tokens, width), (width,), (width,)))
    wide = random(tokens, 7 * width).requires_grad_()
    heads = random(tokens, width // 128, 128).requires_grad_()
    cos, sin = random(tokens, 1, 128), random(tokens, 1, 128)
    half = 7 * width // 2
    # arrays that are read and written at the least, forward and backward, each of the size of the first argument
    for op, run, args, forward, backward in (
        ("rms_norm", lambda x, w: F.rms_norm(x, (width,), w), (x, gain), 2, 3),
        ("layer_norm", lambda x, w, b: F.layer_norm(x, (width,), w, b), (x, gain, bias), 2, 3),
        ("add", lambda x, y: x + y, (x, y), 3, 0),
        ("norm_add", lambda x, y, w: F.rms_norm(x + y, (width,), w), (x, y, gain), 3, 4),
        ("swiglu", lambda x: F.silu(x[:, :half]) * x[:, half:], (wide,), 1.5, 2.5),
        ("gelu", lambda x: F.gelu(x, approximate="tanh"), (wide,), 2, 3),
        ("rotary", rotate, (heads, cos, sin), 2, 2),
    ):
        run = torch.compile(run, dynamic=False)
        array = 2 * args[0].numel()
        with torch.no_grad():
            emit(kernel="elementwise", op=op, bytes=int(forward * array), seconds=seconds(lambda: run(*args)))
        if backward:
            out = run(*args)
            gradient = torch.randn_like(out)
            need = [arg for arg in args if arg.requires_grad]
            back = lambda: torch.autograd.grad(out, need, gradient, retain_graph=True)
            emit(kernel="elementwise", op=f"{op} backward", bytes=int(backward * array), seconds=seconds(back))
    source = torch.zeros(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    emit(kernel="elementwise", op="copy", bytes=2 * source.numel(), seconds=seconds(lambda: target.copy_(source)))
    weights = [torch.zeros(2**24, device="cuda", requires_grad=True) for _ in range(24)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    adam = torch.optim.AdamW(weights, fused=True)
    emit(kernel="elementwise", op="adam", bytes=28 * 24 * 2**24, seconds=seconds(adam.step, 0.3))


torch.manual_seed(1)
emit(chip=sys.argv[1], device=torch.cuda.get_device_name(), torch=torch.__version__, cudnn=torch.backends.cudnn.version())
for part in (products, products_of_8_bits, grouped, attention, elementwise):
    part()
    torch.cuda.empty_cache()
