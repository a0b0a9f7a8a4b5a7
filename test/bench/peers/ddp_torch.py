"""Peer of ../src/train/train.ts: the benchmarks' network (width 32) trained by PyTorch's DistributedDataParallel over Gloo, one thread a process.

    python test/bench/peers/ddp_torch.py VARIANT STEPS GLOBAL_BATCH PROCESSES BUCKET_MB

VARIANT is eager, channels_last or compile (unet_torch.py). Images of random numbers, drawn before the first step; noise and
timesteps are drawn in every step, as training does. Fused Adam; no clipping and no moving average, which Lockstep has.
Prints one JSON line: seconds from step to step, as the first process saw them.
"""

import json
import os
import socket
import sys
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from unet_torch import hello, prepared

IMAGES = 4096
T = 1000


def rank_main(rank, variant, steps, global_batch, processes, bucket_mb, port):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    torch.manual_seed(0)
    batch = global_batch // processes
    network, like = prepared("eager" if variant == "compile" else variant, batch)
    model = DistributedDataParallel(
        network, bucket_cap_mb=bucket_mb, gradient_as_bucket_view=True, static_graph=variant != "compile"
    )
    if variant == "compile":
        model = torch.compile(model)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, betas=(0.9, 0.99), fused=True)
    angle = torch.arange(T + 1) / T * torch.pi / 2
    signal, sigma = angle.cos(), angle.sin()
    images = torch.randn(IMAGES, *like.shape[1:])
    torch.manual_seed(1 + rank)
    ends = [time.perf_counter()]
    for _ in range(steps):
        x0 = images[torch.randint(0, IMAGES, (batch,))]
        noise = torch.randn_like(x0)
        t = torch.randint(1, T + 1, (batch,))
        x = signal[t, None, None, None] * x0 + sigma[t, None, None, None] * noise
        if variant == "channels_last":
            x = x.to(memory_format=torch.channels_last)
        optimiser.zero_grad(set_to_none=True)
        loss = ((model(x, t.float()) - noise) ** 2).mean()
        loss.backward()
        optimiser.step()
        loss.item()
        ends.append(time.perf_counter())
    if rank == 0:
        seconds = [after - before for before, after in zip(ends, ends[1:])]
        print(json.dumps({**hello(network, variant), "bucketMb": bucket_mb, "seconds": seconds}), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    variant = sys.argv[1]
    steps, global_batch, processes, bucket_mb = (int(argument) for argument in sys.argv[2:6])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(rank_main, args=(variant, steps, global_batch, processes, bucket_mb, port), nprocs=processes)
