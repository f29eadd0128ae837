"""Models that have the tensors of well-known ones, in their order, and nothing
else: what an average costs depends on no more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

Shape = tuple[int, ...]


def _convolution(n_out: int, n_in: int, width: int) -> list[Shape]:
    """With the normalisation behind it."""
    return [(n_out, n_in, width, width), (n_out,), (n_out,)]


def resnet50() -> Iterator[Shape]:
    yield from _convolution(64, 3, 7)
    n_in = 64
    for stage, n_blocks in enumerate((3, 4, 6, 3)):
        n = 64 << stage
        for i in range(n_blocks):
            yield from _convolution(n, n_in, 1)
            yield from _convolution(n, n, 3)
            yield from _convolution(4 * n, n, 1)
            if i == 0:
                yield from _convolution(4 * n, n_in, 1)
            n_in = 4 * n
    yield from ((1000, 2048), (1000,))


def gpt2() -> Iterator[Shape]:
    norm: list[Shape] = [(768,), (768,)]
    yield from ((50257, 768), (1024, 768))
    for _ in range(12):
        yield from norm
        yield from ((768, 2304), (2304,), (768, 768), (768,))
        yield from norm
        yield from ((768, 3072), (3072,), (3072, 768), (768,))
    yield from norm


def llama(n_layers: int) -> Iterator[Shape]:
    """TinyLlama: key and value are shared by groups of heads."""
    yield (32000, 2048)
    for _ in range(n_layers):
        yield from ((2048, 2048), (256, 2048), (256, 2048), (2048, 2048))
        yield from ((5632, 2048), (5632, 2048), (2048, 5632))
        yield from ((2048,), (2048,))
    yield from ((2048,), (32000, 2048))


@dataclass(frozen=True)
class Kind:
    name: str  # of figures
    title: str
    shapes: tuple[Shape, ...]
    pass_seconds: float  # of a forward and backward pass; real ones are longer

    @property
    def size(self) -> int:
        """Bytes."""
        return 4 * sum(torch.Size(shape).numel() for shape in self.shapes)


class Model(nn.Module):
    """Parameters and no more."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        for i, shape in enumerate(kind.shapes):
            values = torch.empty(shape).uniform_(-0.05, 0.05)
            self.register_parameter(f"t{i:03}", nn.Parameter(values))
