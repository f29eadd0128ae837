"""What averaging costs a training: the time of its steps beside that of steps
without an average, block by block in turn.

The training is that of a multilayer perceptron with 26 million parameters by
SGD with momentum.  With one thread a processor stays free for the daemon; with
one on each processor nothing is.
"""

import os

import torch
from torch import nn

from averagers import BETA, PEERS
from daemon import Daemon
from harness import Bench, Goal, Samples, Variant, at_most, seconds_of
from library import Choice, Emad, Publisher

WIDTH = 2048
N_LAYERS = 6
N_CLASSES = 512
N_BATCH = 128


class Trainer:
    """A training without an average."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for _ in range(N_LAYERS):
            layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Linear(WIDTH, N_CLASSES))
        self.parameters = list(self.model.parameters())
        self.values = [p.detach() for p in self.parameters]
        self.optimizer = torch.optim.SGD(self.parameters, lr=1e-3, momentum=0.9)
        self.inputs = torch.randn(N_BATCH, WIDTH)
        self.targets = torch.randint(N_CLASSES, (N_BATCH,))

    def step(self) -> None:
        self.optimizer.zero_grad()
        outputs = self.model(self.inputs)
        nn.functional.cross_entropy(outputs, self.targets).backward()
        self.before_optimizer()
        self.optimizer.step()
        self.after_optimizer()

    def block(self, n_steps: int) -> float:
        def steps() -> None:
            for _ in range(n_steps):
                self.step()

        seconds = seconds_of(steps)
        self.after_block()
        return seconds

    def before_optimizer(self) -> None:
        """The parameters are about to change."""

    def after_optimizer(self) -> None:
        """They have changed."""

    def after_block(self) -> None:
        """What goes on must not disturb others."""

    def end(self) -> None:
        """There are no more blocks."""


class InProcess(Trainer):
    """ema_pytorch, as its users run it."""

    def __init__(self, update_every: int) -> None:
        super().__init__()
        from ema_pytorch import EMA

        self.ema = EMA(
            self.model,
            beta=BETA,
            update_after_step=0,
            update_every=update_every,
        )

    def after_optimizer(self) -> None:
        self.ema.update()


class Copying(Trainer):
    def __init__(self, emad: Emad, name: str, update_every: int) -> None:
        super().__init__()
        choice = Choice("ema_pytorch_0.7", BETA, update_every=update_every)
        self.publisher = Publisher(emad, name, self.values, choice)

    def after_optimizer(self) -> None:
        self.publisher.publish(self.values)

    def after_block(self) -> None:
        self.publisher.flush()

    def end(self) -> None:
        self.publisher.flush()
        self.publisher.end()


class Asynchronous(Copying):
    def after_optimizer(self) -> None:
        self.publisher.publish_async(self.values)

    def before_optimizer(self) -> None:
        self.publisher.wait()

    def after_block(self) -> None:
        self.publisher.wait()
        self.publisher.flush()


class Resident(Copying):
    """The parameters live in the slot."""

    def __init__(self, emad: Emad, name: str, update_every: int) -> None:
        super().__init__(emad, name, update_every)
        self.publisher.move(self.parameters)
        self.ours = True

    def before_optimizer(self) -> None:
        if not self.ours:
            self.publisher.begin()
        self.ours = True

    def after_optimizer(self) -> None:
        self.ours = not self.publisher.commit()

    def end(self) -> None:
        self.publisher.flush()
        del self.model, self.optimizer
        self.parameters.clear()
        self.values.clear()
        self.publisher.end()


def slowdown(trained: Samples, alone: Samples) -> Samples:
    return trained.combine(alone, lambda a, b: 100.0 * (a / b - 1.0))


def report(
    bench: Bench, n_threads: int, every: int, samples: dict[str, Samples]
) -> None:
    """The slowdown in every way, and that of emad to that in process."""
    free = "one processor free" if n_threads == 1 else "no processor free"
    bench.heading(f"slowdown of a training, averaged every {every}, {free}")
    prefix = f"training.{n_threads}t.every{every}"
    goals: dict[str, Goal] = {}
    ratios: dict[str, Goal] = {}
    if n_threads == 1:
        goals = {"copy": at_most(4.5), "async": at_most(0.5)}
        goals["resident"] = at_most(0.5)
    elif every == 1:
        ratios = {"copy": at_most(1), "resident": at_most(0.65)}
    time = samples["alone"].scale(1e3)
    bench.report(f"{prefix}.alone", "ms", time)
    slow = {
        name: slowdown(samples[name], samples["alone"])
        for name in samples
        if name != "alone"
    }
    for name, figure in slow.items():
        goal = goals.get(name)
        peer = PEERS[0].version if name == "in_process" else None
        bench.report(f"{prefix}.{name}", "%", figure, goal, peer)
    for name, goal in ratios.items() if "in_process" in slow else ():
        ratio = slow[name] / slow["in_process"]
        bench.report(f"{prefix}.{name}.to_in_process", "ratio", ratio, goal)


def measure(
    bench: Bench, daemon: Daemon, n_threads: int, every: int, n_steps: int
) -> None:
    torch.set_num_threads(n_threads)
    emad = Emad(daemon.address)
    trainers: dict[str, Trainer] = {
        "alone": Trainer(),
        "copy": Copying(emad, "copy", every),
        "async": Asynchronous(emad, "async", every),
        "resident": Resident(emad, "resident", every),
    }

    try:
        trainers["in_process"] = InProcess(every)
    except ImportError as error:
        name = f"training.{n_threads}t.every{every}.in_process"
        bench.missing(name, str(error))

    def block(trainer: Trainer) -> float:
        return trainer.block(n_steps) / n_steps

    variants = [
        Variant(name, lambda trainer=trainer: block(trainer))  # type: ignore[misc]
        for name, trainer in trainers.items()
    ]
    bench.run(variants)
    report(bench, n_threads, every, {v.name: v.samples for v in variants})
    for trainer in trainers.values():
        trainer.end()
    emad.close()


def main() -> None:
    bench = Bench("what averaging costs a training")
    n_processors = len(os.sched_getaffinity(0))
    # A block of one step in ten that is averaged has ten steps.
    n_steps = 3 if bench.quick else 6
    bench.n_rounds = min(bench.n_rounds, 9)
    with Daemon(n_workers=1) as daemon:
        bench.watch.pids.add(daemon.pid)
        for n_threads in (1, n_processors):
            measure(bench, daemon, n_threads, 1, n_steps)
            if not bench.quick:
                measure(bench, daemon, n_threads, 10, 10)


if __name__ == "__main__":
    main()
