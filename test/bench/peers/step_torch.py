"""PyTorch's training step of the same network, for ../src/step/step.ts: one step for every line on standard input.

    python test/bench/peers/step_torch.py eager|channels_last|compile IMAGES THREADS
"""

import json
import sys
import time

import torch

from unet_torch import hello, prepared

VARIANT, IMAGES, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(THREADS)
torch.manual_seed(0)
model, x = prepared(VARIANT, IMAGES)
noise = torch.randn_like(x)
t = torch.randint(1, 1000, (IMAGES,)).float()
optimiser = torch.optim.Adam(model.parameters(), 1e-3)
print(json.dumps(hello(model, VARIANT)), flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    optimiser.zero_grad(set_to_none=True)
    loss = ((model(x, t) - noise) ** 2).mean()
    loss.backward()
    optimiser.step()
    loss.item()
    print(json.dumps({"ms": (time.perf_counter() - start) * 1000}), flush=True)
