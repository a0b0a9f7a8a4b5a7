"""Peer of ../src/ring/ring.ts: torch.distributed's Gloo all_reduce (sum) of float32 over loopback, one thread a process.

usage: ring_gloo.py PROCESSES
Prints a JSON line of versions when all processes have joined. Then, for each line {"elements": E, "repeats": R} on standard
input, one of each rank's seconds for one all_reduce, of R without a pause between them; after one that is checked, and a barrier.
"""
import json
import os
import platform
import socket
import sys
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def rank_main(rank, processes, port, pipe):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    pipe.send("joined")
    data = torch.zeros(0)
    while (order := pipe.recv()) is not None:
        elements, repeats = order["elements"], order["repeats"]
        if data.numel() != elements:
            data = torch.zeros(elements, dtype=torch.float32)
        data.fill_(1.0)
        dist.all_reduce(data)
        assert data[0].item() == processes and data[-1].item() == processes
        data.zero_()  # so that no value grows beyond float32
        dist.barrier()
        start = time.perf_counter()
        for _ in range(repeats):
            dist.all_reduce(data)
        pipe.send((time.perf_counter() - start) / repeats)
    dist.destroy_process_group()


def main(processes):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Forked after the import, which takes seconds of a core.
    context = mp.get_context("fork")
    pipes = []
    for rank in range(processes):
        here, there = context.Pipe()
        context.Process(target=rank_main, args=(rank, processes, port, there), daemon=True).start()
        pipes.append(here)
    for pipe in pipes:
        pipe.recv()
    print(json.dumps({"torch": torch.__version__, "python": platform.python_version()}), flush=True)
    for line in sys.stdin:
        for pipe in pipes:
            pipe.send(json.loads(line))
        print(json.dumps([pipe.recv() for pipe in pipes]), flush=True)
    for pipe in pipes:
        pipe.send(None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
