"""Peer of ../ring.mjs: torch.distributed's Gloo all_reduce (sum) of float32 over loopback, one thread a process.

usage: ring_gloo.py PROCESSES ELEMENTS REPEATS
Prints a JSON list of seconds, one a repeat: the slowest rank's, each repeat after a barrier.
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


def rank_main(rank, processes, elements, repeats, port):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    data = torch.ones(elements, dtype=torch.float32)
    seconds = torch.zeros(repeats, dtype=torch.float64)
    for repeat in range(-6, repeats):  # warm-up rounds, as many as ring.mjs has
        data.fill_(1.0)
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(data)
        if repeat >= 0:
            seconds[repeat] = time.perf_counter() - start
        assert data[0].item() == processes and data[-1].item() == processes
    dist.all_reduce(seconds, op=dist.ReduceOp.MAX)
    if rank == 0:
        print(json.dumps(seconds.tolist()), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    processes, elements, repeats = (int(argument) for argument in sys.argv[1:4])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(rank_main, args=(processes, elements, repeats, port), nprocs=processes)
