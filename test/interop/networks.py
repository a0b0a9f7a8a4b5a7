"""Both networks, written with PyTorch's own layers on the tensors of a checkpoint.

    parameters(file)           tensors of a .safetensors file by name, in PyTorch's axes
    predict(config, p, x, t, labels)   the noise in x [n, channels, rows, columns] at t [n], what the network sees of the timestep,
                               with labels [n], of a conditional network only

Four axes are [height, width, in, out] of a convolution, or [height, width, out, in] of a transposed one; both become PyTorch's by
the same permutation. Two axes are [in, out] of a linear layer, or [rows, width] of an embedding, which is the same on one-hot rows. Strided convolutions pad zeros after the last row and column only.
"""

import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

AXES = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


def parameters(file):
    return {name: value.permute(AXES[value.ndim]).contiguous() for name, value in load_file(file).items()}


def predict(config, p, x, t, labels):
    return unet(config, p, x, t, labels) if config["kind"] == "unet" else seed_unet(p, x, t)


def unet(config, p, x, t, labels):
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
    e = linear("time.linear2", e)
    if config["classes"] > 0:
        e = e + F.linear(F.one_hot(labels, config["classes"] + 1).float(), p["class_embedding.weight"])
    e = F.silu(e)

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


def seed_unet(p, x, t):
    def block(name, h):
        return norm_relu(f"{name}.norm", F.conv2d(h, p[f"{name}.conv.weight"], p[f"{name}.conv.bias"], padding=1))

    def norm_relu(name, h):
        return F.relu(F.group_norm(h, 8, p[f"{name}.weight"], p[f"{name}.bias"], eps=1e-5))

    def up(name, h, to):
        weight, bias = p[f"{name}.up.weight"], p[f"{name}.up.bias"]
        kernel = weight.shape[-1]
        # A row and a column that pooling left out are put on again.
        return F.conv_transpose2d(h, weight, bias, stride=kernel, output_padding=to.shape[-1] - kernel * h.shape[-1])

    x_f = block("in", x)
    d1 = F.max_pool2d(block("down.1", x_f), 2)
    d2 = F.max_pool2d(block("down.2", d1), 2)
    d3 = F.max_pool2d(block("down.3", d2), 2)
    latent = F.relu(F.avg_pool2d(d3, d3.shape[-1]))
    waves = torch.sin(F.linear(t[:, None], p["time.linear1.weight"]))
    e = F.linear(waves, p["time.linear2.weight"], p["time.linear2.bias"])
    u1 = norm_relu("up.1.norm", up("up.1", latent + e[:, :, None, None], d3))
    u2 = block("up.2", up("up.2", torch.cat([u1, d3], dim=1), d2))
    u3 = block("up.3", up("up.3", torch.cat([u2, d2], dim=1), d1))
    u4 = block("up.4", up("up.4", torch.cat([u3, d1], dim=1), x_f))
    return F.conv2d(torch.cat([u4, x_f], dim=1), p["out.weight"], p["out.bias"], padding=1)
