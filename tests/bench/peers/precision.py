"""What an average of bfloat16 parameters is worth after many steps: kept in
bfloat16 by its usual class, and in float32 by emad, beside float64.

The parameters drift to other values and are noisy; every average absorbs every
step's snapshot with the same weight, and float64 does with that weight too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import torch
from torch import nn

from averagers import BETA, timm_module
from daemon import Daemon
from harness import Bench, Samples, at_most
from library import Choice, Emad, Publisher, at_address

MODEL = "precision"
PREFIX = "peers.precision"
GOAL = at_most(2e-6)
N_TENSORS = 9
N_VALUES = 456  # each: some thousands in all
SPREAD = 0.02  # standard deviation of the first and of the last values
NOISE = 0.001  # of each step


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for i in range(N_TENSORS):
            values = torch.randn(N_VALUES, dtype=torch.bfloat16) * SPREAD
            self.register_parameter(f"t{i:03}", nn.Parameter(values))


class Source:
    """Writes a step's values into the parameters."""

    def __init__(self, model: Small, n_steps: int) -> None:
        self._n_steps = n_steps
        self.values = [p.detach() for p in model.parameters()]
        self._first = torch.stack(self.values).float()
        self._last = torch.randn_like(self._first) * SPREAD

    def write(self, step: int) -> None:
        part = step / self._n_steps
        now = torch.lerp(self._first, self._last, part)
        now += torch.randn_like(now) * NOISE
        torch._foreach_copy_(self.values, list(now.unbind()))


def error(average: list[torch.Tensor], exact: torch.Tensor) -> Samples:
    """Relative, root of the mean of squares, one value per tensor."""
    differences = torch.stack(average).double() - exact
    squares = differences.square().mean(1) / exact.square().mean(1)
    return Samples(squares.sqrt().tolist())


def unmoved(average: list[torch.Tensor], first: list[torch.Tensor]) -> Samples:
    """The share of values that are what they were."""
    pairs = zip(average, first, strict=True)
    return Samples([(a == b).double().mean().item() for a, b in pairs])


@dataclass
class Kept:
    """One average of the model, and what float64 says that it should be."""

    name: str
    package: str
    update: Callable[[], object]
    values: list[torch.Tensor]
    weight: Callable[[], float]  # of the update that has just been made
    exact: torch.Tensor

    @property
    def version(self) -> str:
        return f"{self.package} {metadata.version(self.package)}"

    def absorb(self, step: int, snapshot: torch.Tensor) -> None:
        self.update()
        if step == 0:
            self.exact.copy_(snapshot)
        else:
            self.exact.lerp_(snapshot, self.weight())


def begin_ema_pytorch(name: str, model: Small, min_value: float) -> Kept:
    from ema_pytorch import EMA

    ema = EMA(
        model,
        beta=BETA,
        min_value=min_value,
        update_after_step=0,
        update_every=1,
    )
    return Kept(
        name,
        "ema-pytorch",
        lambda: ema.update(),
        [p.detach() for p in ema.ema_model.parameters()],
        lambda: 1.0 - float(ema.get_current_decay()),
        stacked(model),
    )


def begin_timm(name: str, model: Small) -> Kept:
    ema = timm_module().ModelEmaV3(model, decay=BETA)
    return Kept(
        name,
        "timm",
        lambda: ema.update(model),
        [p.detach() for p in ema.module.parameters()],
        lambda: 1.0 - BETA,
        stacked(model),
    )


def stacked(model: Small) -> torch.Tensor:
    return torch.stack([p.detach() for p in model.parameters()]).double()


def begin_peers(bench: Bench, model: Small) -> list[Kept]:
    """In bfloat16, as the model is."""
    # With beta as min_value the weight is the same from the first step on;
    # without it, as most call it, that takes a million steps.
    begins: dict[str, Callable[[str], Kept]] = {
        "ema_pytorch": lambda name: begin_ema_pytorch(name, model, BETA),
        "ema_pytorch_warm_up": lambda name: begin_ema_pytorch(name, model, 0.0),
        "timm_stochastic": lambda name: begin_timm(name, model),
    }
    kept = []
    for name, begin in begins.items():
        try:
            kept.append(begin(name))
        except ImportError as error:
            bench.missing(f"{PREFIX}.{name}", str(error))
    return kept


def begin_emad(emad: Emad, model: Small) -> tuple[Publisher, Kept]:
    choice = Choice("ema_pytorch_0.7", BETA, min_value=BETA)
    values = [p.detach() for p in model.parameters()]
    publisher = Publisher(emad, MODEL, values, choice)
    weight = 1.0 - torch.tensor(BETA).item()  # float32, as ema_pytorch has it
    kept = Kept(
        "emad",
        "emad",
        lambda: publisher.publish(values),
        [],
        lambda: weight,
        stacked(model),
    )
    return publisher, kept


def pull(emad: Emad) -> list[torch.Tensor]:
    view = emad.pull(MODEL)
    like = torch.empty(N_VALUES)
    names = [f"t{i:03}" for i in range(N_TENSORS)]
    values = [at_address(view.data(name), like).clone() for name in names]
    view.close()
    return values


def report(
    bench: Bench, n_steps: int, kept: list[Kept], first: list[torch.Tensor]
) -> None:
    bench.heading(
        f"a bfloat16 model after {n_steps} steps at beta {BETA}, to float64;"
        " one value per tensor"
    )
    for one in kept:
        is_emad = one.package == "emad"
        goal, peer = (GOAL, None) if is_emad else (None, one.version)
        name = f"{PREFIX}.{one.name}"
        figure = error(one.values, one.exact)
        bench.report(name, "relative", figure, goal, peer)
        figure = unmoved(one.values, first)
        bench.report(f"{name}.unmoved", "share", figure, peer=peer)


def main() -> None:
    bench = Bench("precision of averages of a bfloat16 model")
    n_steps = 10_000 if bench.quick else 100_000
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Small()
    source = Source(model, n_steps)
    source.write(0)  # what every average begins with
    with Daemon(n_workers=1) as daemon:
        emad = Emad(daemon.address)
        peers = begin_peers(bench, model)
        publisher, ours = begin_emad(emad, model)
        first = [value.clone() for value in source.values]
        for step in range(n_steps):
            if step > 0:
                source.write(step)
            snapshot = stacked(model)
            for one in (ours, *peers):
                one.absorb(step, snapshot)
        publisher.flush()
        ours.values = pull(emad)
        publisher.end()
        emad.close()
    report(bench, n_steps, [ours, *peers], first)


if __name__ == "__main__":
    main()
