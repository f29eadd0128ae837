"""What the Python benchmarks share: rounds of interleaved samples, statistics,
a table for people and JSON lines for programs, as tests/bench/bench.c has them.
"""

import argparse
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from quiet import Watch

# So many rounds may be thrown away for each that is kept.
TRIES_PER_ROUND = 4


@dataclass(frozen=True)
class Samples:
    """One value per round."""

    values: list[float]
    disturbed: bool = False  # the machine never was quiet for long enough

    def quantile(self, q: float) -> float:
        values = sorted(self.values)
        place = q * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (place - below) * (values[above] - values[below])

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def scale(self, factor: float) -> "Samples":
        return Samples([factor * x for x in self.values], self.disturbed)

    def combine(
        self, other: "Samples", how: Callable[[float, float], float]
    ) -> "Samples":
        """Round by round."""
        pairs = zip(self.values, other.values, strict=True)
        values = [how(a, b) for a, b in pairs]
        return Samples(values, self.disturbed or other.disturbed)

    def __truediv__(self, other: "Samples") -> "Samples":
        return self.combine(other, lambda a, b: a / b)


@dataclass
class Variant:
    """`run` does the work once and returns the seconds that count."""

    name: str
    run: Callable[[], float]
    samples: Samples = field(default_factory=lambda: Samples([]))


@dataclass(frozen=True)
class Goal:
    word: str  # "at most" or "at least"
    value: float

    def holds(self, value: float) -> bool:
        if self.word == "at most":
            return value <= self.value
        return value >= self.value

    def __str__(self) -> str:
        return f"{self.word} {self.value:g}"


def at_most(value: float) -> Goal:
    return Goal("at most", value)


def best(variants: Iterable[Variant]) -> Variant:
    """The one with the lowest median."""
    return min(variants, key=lambda variant: variant.samples.median)


class Bench:
    """The options of the command line, and where figures go."""

    def __init__(self, description: str) -> None:
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--quick", action="store_true")
        parser.add_argument("--rounds", type=int, metavar="N")
        parser.add_argument("--size", help="for the programs in C; ignored")
        parser.add_argument("--json", type=Path, metavar="FILE")
        options = parser.parse_args()
        self.quick: bool = options.quick
        self.n_rounds: int = options.rounds or (5 if self.quick else 11)
        self.watch = Watch()
        # So that a daemon and its files are removed then too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self._json: Path | None = options.json
        if self.n_rounds < 1:
            parser.error("--rounds: a number from 1 on")

    def run(self, variants: list[Variant], n_rounds: int | None = None) -> None:
        """Warm up, then fill every variant's samples, round by round."""
        n = n_rounds or self.n_rounds
        n_spare = n * (TRIES_PER_ROUND - 1)
        kept: dict[str, list[float]] = {v.name: [] for v in variants}
        disturbed = False
        for variant in variants:
            variant.run()
        n_kept = 0
        while n_kept < n:
            before = self.watch.wait()
            # None is always the first after the rest, or the last.
            first = (n_spare + n_kept) % len(variants)
            order = variants[first:] + variants[:first]
            seconds = {variant.name: variant.run() for variant in order}
            quiet = self.watch.quiet_since(before)
            if not quiet and n_spare > 0:
                n_spare -= 1
                continue
            disturbed |= not quiet
            n_kept += 1
            for name, value in seconds.items():
                kept[name].append(value)
        for variant in variants:
            variant.samples = Samples(kept[variant.name], disturbed)

    def heading(self, text: str) -> None:
        columns = f"{'median':>10} {'unit':<8} {'goal':<14} {'holds':<5}"
        print(
            f"\n{text}\n{'':<44} {columns} [quartiles] min-max, n", flush=True
        )

    def report(
        self,
        name: str,
        unit: str,
        samples: Samples,
        goal: Goal | None = None,
        peer: str | None = None,
    ) -> None:
        """One figure; `peer`: the package and version that it is about."""
        value = samples.median
        low, q1, q3, high = (samples.quantile(q) for q in (0, 0.25, 0.75, 1))
        holds = goal.holds(value) if goal else None
        wanted = str(goal) if goal else ""
        word = {None: "", True: "yes", False: "NO"}[holds]
        print(
            f"{name:<44} {value:>10.4g} {unit:<8} {wanted:<14} {word:<5}"
            f" [{q1:.4g}, {q3:.4g}] {low:.4g}-{high:.4g}, {len(samples.values)}"
            + (" DISTURBED" if samples.disturbed else ""),
            flush=True,
        )
        if not self._json:
            return
        line: dict[str, object] = {"name": name, "value": value, "unit": unit}
        line |= {"min": low, "q1": q1, "q3": q3, "max": high}
        line |= {"n": len(samples.values), "disturbed": samples.disturbed}
        line |= {"quick": self.quick, "goal": wanted or None}
        line |= {"holds": holds}
        if peer:
            line["peer"] = peer
        rounded = {
            key: float(f"{item:.6g}") if isinstance(item, float) else item
            for key, item in line.items()
        }
        with self._json.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded, separators=(",", ":")) + "\n")

    def missing(self, name: str, reason: str) -> None:
        """A figure that could not be taken."""
        print(f"{name:<44} missing: {reason}", flush=True)


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
