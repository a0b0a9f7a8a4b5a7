"""The benchmarks' network (width 32) in PyTorch, and the three ways in which its users run it."""

import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

VARIANTS = ("eager", "channels_last", "compile")


class Block(nn.Module):
    """Two convolutions with group norm and SiLU, the time embedding between them, and a skip connection."""

    def __init__(self, inside, outside, time_width):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inside), nn.GroupNorm(8, outside)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.time = nn.Linear(time_width, outside)
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x, e):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(e)[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.skip(x)


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.qkv = nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, c, h * w).transpose(2, 3).unbind(1)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(c), -1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(n, c, h, w))


class UNet(nn.Module):
    def __init__(self, base=32):
        super().__init__()
        t, wide = 4 * base, 2 * base
        self.base = base
        self.embed = nn.Sequential(nn.Linear(base, t), nn.SiLU(), nn.Linear(t, t), nn.SiLU())
        self.first, self.last = nn.Conv2d(1, base, 3, padding=1), nn.Conv2d(base, 1, 3, padding=1)
        self.norm = nn.GroupNorm(8, base)
        self.down = nn.ModuleList([Block(base, base, t), Block(base, wide, t), Block(wide, wide, t)])
        self.shrink = nn.ModuleList([nn.Conv2d(base, base, 3, 2, 1), nn.Conv2d(wide, wide, 3, 2, 1)])
        self.middle = nn.ModuleList([Block(wide, wide, t), Block(wide, wide, t)])
        self.attention = Attention(wide)
        self.up = nn.ModuleList([Block(2 * wide, wide, t), Block(2 * wide, wide, t), Block(wide, base, t)])
        self.grow = nn.ModuleList([nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, base, 3, padding=1)])

    def forward(self, x, t):
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(self.base // 2) / (self.base // 2))
        e = self.embed(torch.cat([angles.sin(), angles.cos()], 1))
        x = self.first(x)
        skips = []
        for level, block in enumerate(self.down):
            x = block(x, e)
            skips.append(x)
            if level < 2:
                x = self.shrink[level](x)
        x = self.middle[1](self.attention(self.middle[0](x, e)), e)
        for level, block in enumerate(self.up):
            x = block(torch.cat([x, skips.pop()], 1), e)
            if level < 2:
                x = self.grow[level](F.interpolate(x, scale_factor=2.0))
        return self.last(F.silu(self.norm(x)))


def prepared(variant, images):
    """The network as `variant` runs it, and this many images of noise in the layout that it wants."""
    if variant not in VARIANTS:
        sys.exit(f"unknown variant {variant}; one of {', '.join(VARIANTS)}")
    model, x = UNet(), torch.randn(images, 1, 28, 28)
    if variant == "channels_last":
        # One channel has two layouts that are the same; the network's own tensors take the weights' layout.
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    return (torch.compile(model) if variant == "compile" else model), x


def hello(model, variant):
    """First line of a served process."""
    return {"version": torch.__version__, "variant": variant, "parameters": sum(p.numel() for p in model.parameters())}
