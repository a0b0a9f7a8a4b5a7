"""PyTorch's sampler with the same network, for ../src/sample/sample.ts: one reverse process for every line on standard input.

    python test/bench/peers/sample_torch.py eager|channels_last|compile IMAGES THREADS

A line is "KIND VISITED TOTAL": ddim or ddpm, and how many of TOTAL timesteps to visit. Both samplers as in libs/diffusion: cosine
schedule, eps prediction, x0 clipped to [-1, 1], DDIM with eta 0, DDPM with variance beta and fresh noise in every step but the last.
"""

import json
import math
import sys
import time

import torch

from unet_torch import hello, prepared

T = 1000
VARIANT, IMAGES, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(THREADS)
torch.manual_seed(0)
model, start_noise = prepared(VARIANT, IMAGES)
model.eval()
level = [math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(T + 1)]
alpha_bar = [max(value / level[0], 1e-9) for value in level]


@torch.no_grad()
def sample(kind, visited, total):
    times = [round(T * (total - i) / total) for i in range(visited)]
    x = torch.randn_like(start_noise)
    for t in times:
        s = max(0, t - T // total)
        a, b = alpha_bar[t], alpha_bar[s]
        eps = model(x, torch.full((IMAGES,), float(t)))
        x0 = ((x - math.sqrt(1 - a) * eps) / math.sqrt(a)).clamp_(-1, 1)
        if kind == "ddim":
            eps = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
            x = math.sqrt(b) * x0 + math.sqrt(1 - b) * eps
        else:
            ratio = a / b
            x = (math.sqrt(b) * (1 - ratio) * x0 + math.sqrt(ratio) * (1 - b) * x) / (1 - a)
            if s > 0:
                x = x + math.sqrt(min(1 - ratio, 0.999)) * torch.randn_like(x)
    return x.sum().item()


print(json.dumps(hello(model, VARIANT)), flush=True)
for line in sys.stdin:
    kind, visited, total = line.split()
    start = time.perf_counter()
    sample(kind, int(visited), int(total))
    print(json.dumps({"ms": (time.perf_counter() - start) * 1000}), flush=True)
