"""Opening the newest average of a model, until its first value is readable:
through libemad and as any program opens a file, beside loading the same
weights from files that the disk cache holds; and reading all of them.
"""

import ctypes
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open

from daemon import Daemon
from harness import Bench, Samples, Variant, at_most, seconds_of
from library import Choice, Emad, Publisher

MIB = 1 << 20
N_TENSORS = 64
N_OPENS = 20  # of what takes microseconds, in one sample
MODEL = "bench"
FIRST = "t000"


@dataclass(frozen=True)
class Files:
    """The same weights in every form."""

    emad: Emad
    public: Path
    pickled: Path
    saved: Path

    def pull(self) -> float:
        view = self.emad.pull(MODEL)
        value = ctypes.c_float.from_address(view.data(FIRST)).value
        view.close()
        return value

    def open(self) -> float:
        with safe_open(self.public, framework="pt") as file:
            return float(file.get_tensor(FIRST)[0])

    def load_file(self) -> float:
        return float(safetensors.torch.load_file(self.saved)[FIRST][0])

    def torch_load(self) -> float:
        return float(torch.load(self.pickled)[FIRST][0])

    def torch_load_mapped(self) -> float:
        return float(torch.load(self.pickled, mmap=True)[FIRST][0])

    def read_public(self) -> None:
        with safe_open(self.public, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                file.get_tensor(name).sum()

    def read_saved(self) -> None:
        for tensor in safetensors.torch.load_file(self.saved).values():
            tensor.sum()

    def read_pickled(self) -> None:
        for tensor in torch.load(self.pickled).values():
            tensor.sum()


def repeat(work: Callable[[], object], n: int) -> Callable[[], float]:
    """Each time's seconds, the mean of `n`."""

    def run() -> float:
        return sum(seconds_of(work) for _ in range(n)) / n

    return run


def version(package: str) -> str:
    module = torch if package == "torch" else safetensors
    return f"{package} {module.__version__}"


def measure(bench: Bench, daemon: Daemon, folder: Path, size: int) -> Samples:
    emad = Emad(daemon.address)
    n = size // 4 // N_TENSORS
    tensors = [torch.rand(n) for _ in range(N_TENSORS)]
    publisher = Publisher(emad, MODEL, tensors, Choice(n_slots=1))
    publisher.publish(tensors)
    publisher.flush()
    named = {f"t{i:03}": tensor for i, tensor in enumerate(tensors)}
    files = Files(
        emad, daemon.path(MODEL), folder / "model.pt", folder / "saved"
    )
    torch.save(named, files.pickled)
    safetensors.torch.save_file(named, files.saved)
    variants = {
        name: Variant(name, repeat(work, n_times))
        for name, work, n_times in (
            ("emad", files.pull, N_OPENS),
            ("safe_open", files.open, N_OPENS),
            ("load_file", files.load_file, 1),
            ("torch_load", files.torch_load, 1),
            ("torch_load_mmap", files.torch_load_mapped, 1),
            ("read_public", files.read_public, 1),
            ("read_load_file", files.read_saved, 1),
            ("read_torch_load", files.read_pickled, 1),
        )
    }
    bench.run(list(variants.values()))
    samples = {name: variant.samples for name, variant in variants.items()}
    report(bench, size, samples)
    publisher.end()
    emad.close()
    return samples["emad"]


def report(bench: Bench, size: int, samples: dict[str, Samples]) -> None:
    bench.heading(f"the newest average, {size // MIB} MiB, to its first value")
    prefix = f"peers.pull.{size // MIB}mib"
    for name in ("emad", "safe_open"):
        figure = samples[name].scale(1e6)
        bench.report(f"{prefix}.{name}", "us", figure, at_most(1000))
    for name in ("load_file", "torch_load", "torch_load_mmap"):
        peer = version("safetensors" if name == "load_file" else "torch")
        figure = samples[name].scale(1e6)
        bench.report(f"{prefix}.{name}", "us", figure, peer=peer)
        ratio = samples["emad"] / samples[name]
        bench.report(f"{prefix}.emad_to_{name}", "ratio", ratio, peer=peer)
    bench.heading("and to the sum of all values, from the public file")
    for name in ("load_file", "torch_load"):
        peer = version("safetensors" if name == "load_file" else "torch")
        ratio = samples["read_public"] / samples[f"read_{name}"]
        bench.report(f"{prefix}.sum_to_{name}", "ratio", ratio, peer=peer)


def main() -> None:
    bench = Bench("opening the newest average, and loading it from a file")
    torch.set_num_threads(1)
    sizes = [1, 16, 256] if bench.quick else [1, 16, 256, 1024]
    with (
        Daemon(n_workers=1) as daemon,
        tempfile.TemporaryDirectory(prefix="emad-peers-") as folder,
    ):
        bench.watch.pids.add(daemon.pid)
        pulls = [
            measure(bench, daemon, Path(folder), size * MIB) for size in sizes
        ]
    bench.heading("the largest over the smallest")
    growth = pulls[-1] / pulls[0]
    bench.report("peers.pull.growth", "ratio", growth, at_most(1.5))


if __name__ == "__main__":
    main()
