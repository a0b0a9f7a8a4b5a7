"""Opens a checkpoint with nothing of Lockstep, rebuilds its network in PyTorch, and compares what the two predict.

    python compare.py CHECKPOINT EXPECTED      (needs torch and safetensors)

EXPECTED is a .safetensors file with x, t, labels (which only a conditional network looks at), and Lockstep's prediction eps. Prints a line of JSON; fails above the limit.
"""

import json
import sys
from pathlib import Path

import torch
from networks import parameters, predict
from safetensors.torch import load_file

LIMIT = 1e-4


def main(checkpoint: Path, expected: Path) -> int:
    torch.set_num_threads(1)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    config = manifest["model"]["model"]
    # The moving average: what samples are drawn from.
    p = parameters(checkpoint / "ema.safetensors")
    ours = load_file(expected)
    with torch.no_grad():
        x, labels = ours["x"].permute(0, 3, 1, 2).contiguous(), ours["labels"].long()
        found = predict(config, p, x, ours["t"], labels).permute(0, 2, 3, 1)
    difference = (found - ours["eps"]).abs().max().item()
    largest = ours["eps"].abs().max().item()
    print(
        json.dumps(
            {
                "network": config["kind"],
                "parameters": sum(value.numel() for value in p.values()),
                "largestPrediction": largest,
                "largestDifference": difference,
                "limit": LIMIT,
            }
        )
    )
    # A network that predicts nothing would agree with any other that does.
    return 0 if difference <= LIMIT and largest > 0.1 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
