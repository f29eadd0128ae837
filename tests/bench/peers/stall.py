"""How long a step waits for its average: emad's publish, beside an update by
each peer in the trainer's own process, and beside bare loops over the same
tensors.

An optimizer-like pass over the parameters comes before every call, so that
caches hold what they hold in training.  The daemon has one worker and has
finished with the last update when the next publish begins.
"""

import ctypes
import gc
import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

import shapes
from averagers import PEERS, Peer
from daemon import Daemon
from harness import Bench, Samples, Variant, at_most, best, seconds_of
from library import Choice, Emad, Loops, Publisher, pointers

GIB = 1 << 30
SPARE = 3 * GIB // 2  # of memory, that nothing here may take
SLACK = GIB // 2  # by which that may vary while a model is measured
N_BATCH = 64  # rows that a forward pass multiplies
# How far ahead a bare copy prefetches, in bytes; and pages in lock step.
DISTANCES = (0, 512, 2048, 4096, Loops.PAGES)
WEIGHT = 0.0001


def available() -> int:
    """Bytes of memory that can be had."""
    with Path("/proc/meminfo").open(encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return 1024 * int(fields["MemAvailable"].split()[0])


def release() -> None:
    """Give back to the system what is no longer used."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def change(tensors: list[torch.Tensor]) -> None:
    """What an optimizer does to the caches: read and write every value."""
    torch._foreach_mul_(tensors, 1.0000001)


def forward(tensors: list[torch.Tensor], seconds: float) -> None:
    """Multiply by the weights for that long, as a forward pass does."""
    weights = [t.view(t.shape[0], -1) for t in tensors if t.dim() > 1]
    inputs = {w.shape[1]: torch.rand(w.shape[1], N_BATCH) for w in weights}
    end = time.perf_counter() + seconds
    while True:
        for weight in weights:
            rows = weight[:4096]  # embeddings are looked up, not multiplied
            torch.mm(rows, inputs[rows.shape[1]])
            if time.perf_counter() >= end:
                return


@dataclass
class Subject:
    """A model in a trainer with `n_threads` threads, attached to a daemon."""

    bench: Bench
    emad: Emad
    kind: shapes.Kind
    n_threads: int
    n_slots: int
    model: shapes.Model = field(init=False)
    values: list[torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        torch.set_num_threads(self.n_threads)
        self.model = shapes.Model(self.kind)
        self.values = [p.detach() for p in self.model.parameters()]

    @property
    def prefix(self) -> str:
        return f"peers.{self.kind.name}.{self.n_threads}t"

    @property
    def about(self) -> str:
        size = self.kind.size // (1 << 20)
        threads = "1 thread" if self.n_threads == 1 else "2 threads"
        n = len(self.values)
        return f"{self.kind.title}, {n} tensors, {size} MiB, {threads}"

    def attach(self, n_slots: int) -> Publisher:
        choice = Choice(n_slots=n_slots, n_copy_threads=self.n_threads)
        return Publisher(self.emad, "bench", self.values, choice)

    def after_change(self, work: Callable[[], object]) -> float:
        change(self.values)
        return seconds_of(work)


def run_publish(subject: Subject, publisher: Publisher) -> float:
    seconds = subject.after_change(lambda: publisher.publish(subject.values))
    publisher.flush()
    return seconds


def run_async(subject: Subject, publisher: Publisher) -> float:
    """The copy goes on during the forward pass, on another processor."""
    values = subject.values
    seconds = subject.after_change(lambda: publisher.publish_async(values))
    forward(values, subject.kind.pass_seconds)
    seconds += seconds_of(publisher.wait)
    publisher.flush()
    return seconds


def beside_lerp(subject: Subject, publisher: Publisher) -> None:
    """emad beside a bare loop in C that averages the same tensors."""
    bench, prefix = subject.bench, subject.prefix
    n_threads, values = subject.n_threads, subject.values
    loops = Loops(values)
    averages = [value.clone() for value in values]
    places = pointers(averages)

    def lerp() -> float:
        change(values)
        return loops.lerp(places, WEIGHT, n_threads)

    copy = Variant("copy", lambda: run_publish(subject, publisher))
    behind = Variant("async", lambda: run_async(subject, publisher))
    ideal = Variant("lerp", lerp)
    bench.run([copy, ideal, behind] if n_threads == 1 else [copy, ideal])
    bench.heading(f"stall of a publish, {subject.about}")
    bench.report(f"{prefix}.emad_copy.time", "ms", copy.samples.scale(1e3))
    bench.report(f"{prefix}.lerp.time", "ms", ideal.samples.scale(1e3))
    ratio = copy.samples / ideal.samples
    bench.report(f"{prefix}.emad_copy.to_lerp", "ratio", ratio, at_most(0.65))
    if n_threads == 1:
        milliseconds = behind.samples.scale(1e3)
        bench.report(f"{prefix}.emad_async.time", "ms", milliseconds)
        ratio = behind.samples / ideal.samples
        name = f"{prefix}.emad_async.to_lerp"
        bench.report(name, "ratio", ratio, at_most(0.02))


def beside_copy(subject: Subject, publisher: Publisher) -> None:
    """emad beside bare loops in C that copy the same tensors."""
    loops = Loops(subject.values)
    # To where emad's go, ordinary pages of shared memory.
    pages = mmap.mmap(-1, loops.copy_size() + mmap.PAGESIZE)
    memory = torch.frombuffer(pages, dtype=torch.uint8).zero_()

    def bare_copy(distance: int) -> float:
        change(subject.values)
        return loops.copy(memory.data_ptr(), distance, subject.n_threads)

    copy = Variant("copy", lambda: run_publish(subject, publisher))
    copies = [
        Variant(f"copy{d}", lambda d=d: bare_copy(d))  # type: ignore[misc]
        for d in DISTANCES
    ]
    subject.bench.run([copy, *copies])
    ratio = copy.samples / best(copies).samples
    name = f"{subject.prefix}.emad_copy.to_copy"
    subject.bench.report(name, "ratio", ratio, at_most(1.05))


def resident(subject: Subject) -> None:
    """The parameters live in the slot; the answer has come when the forward
    pass is over.
    """
    publisher = subject.attach(1)
    publisher.move(subject.values)

    def run() -> float:
        forward(subject.values, subject.kind.pass_seconds)
        begin = seconds_of(publisher.begin) if publisher.step > 0 else 0.0
        return begin + subject.after_change(publisher.commit)

    variant = Variant("resident", run)
    subject.bench.run([variant])
    subject.bench.heading(f"parameters that live in the slot, {subject.about}")
    name = f"{subject.prefix}.emad_resident.time"
    samples = variant.samples.scale(1e6)
    subject.bench.report(name, "us", samples, at_most(100))
    publisher.flush()
    subject.values.clear()
    publisher.end()


def fitting(peers: list[Peer], size: int) -> tuple[list[Peer], list[Peer]]:
    """How many of the peers fit into memory at once, and the others."""
    room = available() - SPARE
    n = 0
    while n < len(peers) and room >= peers[n].n_copies * size:
        room -= peers[n].n_copies * size
        n += 1
    return peers[:n], peers[n:]


def begin_peer(subject: Subject, peer: Peer) -> Variant | None:
    """None, and why on stdout, where it cannot be had."""
    try:
        update = peer.begin(subject.model)
    except (ImportError, RuntimeError) as error:
        subject.bench.missing(f"{subject.prefix}.{peer.name}", str(error))
        return None
    return Variant(peer.name, lambda: subject.after_change(update))


def report_peer(
    subject: Subject, peer: Peer, seconds: Samples, publish: Samples
) -> None:
    name, bench = f"{subject.prefix}.{peer.name}", subject.bench
    milliseconds = seconds.scale(1e3)
    bench.report(f"{name}.time", "ms", milliseconds, peer=peer.version)
    bench.report(f"{name}.publish", "ratio", publish / seconds,
                 peer=peer.version)  # fmt: skip


def compare_peers(subject: Subject, publisher: Publisher) -> None:
    bench, left = subject.bench, list(PEERS)
    bench.heading(f"an update in process, {subject.about}; a publish to it")
    while left:
        group, left = fitting(left, subject.kind.size)
        if not group:
            peer = left.pop(0)
            reason = "the memory does not hold its copies beside all else"
            bench.missing(f"{subject.prefix}.{peer.name}", reason)
            continue
        begun = {peer: begin_peer(subject, peer) for peer in group}
        copy = Variant("emad", lambda: run_publish(subject, publisher))
        variants = {peer: v for peer, v in begun.items() if v}
        if variants:
            bench.run([copy, *variants.values()])
        for peer, variant in variants.items():
            report_peer(subject, peer, variant.samples, copy.samples)
        del begun, variants, variant
        release()


def measure(
    bench: Bench, daemon: Daemon, kind: shapes.Kind, n_threads: int
) -> None:
    # Large models have one slot, for want of memory.
    n_slots = 1 if kind.size > GIB else 2
    emad = Emad(daemon.address)
    subject = Subject(bench, emad, kind, n_threads, n_slots)
    publisher = subject.attach(n_slots)
    for _ in range(2):  # both versions exist from here on
        run_publish(subject, publisher)
    beside_lerp(subject, publisher)
    beside_copy(subject, publisher)
    release()
    compare_peers(subject, publisher)
    publisher.end()
    if n_threads == 1:
        resident(subject)
    emad.close()
    release()


def llama_that_fits() -> shapes.Kind:
    """As many layers as there is memory for: parameters, a slot, two versions,
    one average.
    """
    kind = None
    for n in range(22, 0, -1):
        name, title = "llama", "Llama 1.1B"
        if n < 22:
            name, title = f"llama{n}", f"Llama 1.1B with {n} of its 22 layers"
        kind = shapes.Kind(name, title, tuple(shapes.llama(n)), 1.5)
        if available() >= SPARE + SLACK + 5 * kind.size:
            break
    assert kind
    return kind


def main() -> None:
    bench = Bench("what a trainer waits for, with emad and with its peers")
    resnet50 = shapes.Kind(
        "resnet50", "ResNet-50", tuple(shapes.resnet50()), 0.1
    )
    gpt2 = shapes.Kind("gpt2", "GPT-2 small", tuple(shapes.gpt2()), 0.3)
    with Daemon(n_workers=1) as daemon:
        bench.watch.pids.add(daemon.pid)
        for kind in (resnet50, gpt2):
            for n_threads in (1, 2):
                measure(bench, daemon, kind, n_threads)
        if not bench.quick:
            bench.n_rounds = min(bench.n_rounds, 9)
            measure(bench, daemon, llama_that_fits(), 1)


if __name__ == "__main__":
    main()
