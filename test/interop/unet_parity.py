"""PyTorch's half of the comparison: the same network, written with PyTorch's own layers, on the weights and inputs that
unet_parity.mjs wrote. Prints the largest difference of the predictions and fails above 1e-4.

    python test/interop/unet_parity.py DIR        (needs torch and numpy)

Layouts: convolution kernels come as HWIO and become OIHW, linear weights as [in, out] and become [out, in], images NHWC and
become NCHW. Strided convolutions pad zeros after the last row and column only.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

LIMIT = 1e-4


def load(folder: Path):
    description = json.loads((folder / "table.json").read_text())
    flat = np.fromfile(folder / "weights.f32", dtype="<f4")
    tensors = {}
    for span in description["table"]:
        value = flat[span["offset"] : span["offset"] + span["size"]].reshape(span["shape"])
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
        tensors[span["name"]] = torch.from_numpy((value.transpose(axes) if axes else value).copy())
    return description["config"], description["images"], tensors


def predict(config, p, x, t):
    groups, widths = config["groups"], [config["base"] * m for m in config["channelMultipliers"]]

    def norm(name, h):
        return F.group_norm(h, groups, p[f"{name}.weight"], p[f"{name}.bias"], eps=1e-5)

    def conv(name, h, padding=1):
        return F.conv2d(h, p[f"{name}.weight"], p[f"{name}.bias"], padding=padding)

    def linear(name, h):
        return F.linear(h, p[f"{name}.weight"], p[f"{name}.bias"])

    def downsample(name, h):
        return F.conv2d(F.pad(h, (0, 1, 0, 1)), p[f"{name}.weight"], p[f"{name}.bias"], stride=2)

    def block(name, h, e):
        inner = conv(f"{name}.conv1", F.silu(norm(f"{name}.norm1", h)))
        inner = inner + linear(f"{name}.time", e)[:, :, None, None]
        inner = conv(f"{name}.conv2", F.silu(norm(f"{name}.norm2", inner)))
        return inner + (conv(f"{name}.skip", h, padding=0) if f"{name}.skip.weight" in p else h)

    def attention(name, h):
        n, c, rows, columns = h.shape
        q, k, v = conv(f"{name}.qkv", norm(f"{name}.norm", h), padding=0).flatten(2).transpose(1, 2).chunk(3, dim=2)
        mixed = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return h + conv(f"{name}.out", mixed.transpose(1, 2).reshape(n, c, rows, columns), padding=0)

    half = config["base"] // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000) / half)).float()
    angles = t[:, None] * frequencies
    e = F.silu(linear("time.linear1", torch.cat([angles.sin(), angles.cos()], dim=1)))
    e = F.silu(linear("time.linear2", e))

    h, skips = conv("conv_in", x), []
    for i in range(len(widths)):
        h = block(f"down.{i}", h, e)
        skips.append(h)
        if i + 1 < len(widths):
            h = downsample(f"down.{i}.downsample", h)
    h = block("middle.block2", attention("middle.attention", block("middle.block1", h, e)), e)
    for i in reversed(range(len(widths))):
        h = block(f"up.{i}", torch.cat([h, skips[i]], dim=1), e)
        if i > 0:
            h = conv(f"up.{i}.upsample", F.interpolate(h, scale_factor=2, mode="nearest"))
    return conv("conv_out", F.silu(norm("norm_out", h)))


def main(folder: Path) -> int:
    torch.set_num_threads(1)
    config, images, parameters = load(folder)
    shape = (images, config["imageSize"], config["imageSize"], config["channels"])
    read = lambda name: torch.from_numpy(np.fromfile(folder / f"{name}.f32", dtype="<f4"))
    x = read("x").reshape(shape).permute(0, 3, 1, 2).contiguous()
    expected = read("eps").reshape(shape).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = predict(config, parameters, x, read("t"))
    difference = (found - expected).abs().max().item()
    print(f"largest difference {difference:.3g}, largest prediction {expected.abs().max().item():.3g}, limit {LIMIT:g}")
    return 0 if difference <= LIMIT else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
