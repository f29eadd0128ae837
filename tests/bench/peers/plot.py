"""Draws the figures of script/bench: what a step of a training waits for, by
way of averaging, and every ratio beside its goal.

usage: plot.py FIGURES OUT...

The same figures give the same files; of figures that were taken twice, the
last ones count.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# From Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, GREY, VERMILION = "#0072B2", "#8C8C8C", "#D55E00"
INK = "#222222"

FLOOR = 1e-9  # what a logarithmic scale can show
FAMILIES = ("growth.to_", "models.", "peers.pull.", "peers.resnet50.")
MODEL = "peers.gpt2.1t"
WAYS = {
    "emad_resident": "emad, parameters in the slot",
    "emad_async": "emad, asynchronous",
    "emad_copy": "emad, copying",
    "ema_pytorch": "ema_pytorch",
    "ema_pytorch_foreach": "ema_pytorch, foreach",
    "timm": "timm ModelEmaV3, no foreach",
    "timm_foreach": "timm ModelEmaV3",
    "diffusers": "diffusers EMAModel",
    "diffusers_foreach": "diffusers EMAModel, foreach",
    "torch_ema": "torch-ema",
    "averaged_model": "AveragedModel, avg_fn",
    "averaged_model_multi": "AveragedModel, multi_avg_fn",
    "foreach_lerp": "torch._foreach_lerp_",
    "lerp": "bare loop in C",
}
MILLISECONDS = {"us": 1e-3, "ms": 1.0}
STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.facecolor": "white",  # legible on dark pages too
    "font.size": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "emad",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Figure:
    """One line of the file."""

    name: str
    unit: str
    value: float
    q1: float
    q3: float
    goal: str | None
    holds: bool | None

    @classmethod
    def parse(cls, line: dict[str, Any]) -> "Figure":
        return cls(**{name: line[name] for name in cls.__annotations__})

    def to_goal(self, value: float) -> float:
        """At most 1 where the goal is reached."""
        assert self.goal
        words, _, number = self.goal.rpartition(" ")
        # Less than nothing is possible where two times differ by noise.
        value = max(value, FLOOR)
        if words == "at most":
            return value / float(number)
        return float(number) / value


def read(path: Path) -> dict[str, Figure]:
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    return {line["name"]: Figure.parse(line) for line in lines}


def draw_stalls(axes: Axes, figures: dict[str, Figure]) -> None:
    bars = []
    for way, label in WAYS.items():
        figure = figures.get(f"{MODEL}.{way}.time")
        if figure:
            scale = MILLISECONDS[figure.unit]
            bars.append((scale * figure.value, label, figure, scale))
    bars.sort(key=lambda bar: (-bar[0], bar[1]))
    for y, (value, label, figure, scale) in enumerate(bars):
        colour = BLUE if label.startswith("emad") else GREY
        # Medians of few samples may lie at their edge, but never outside.
        low = max(value - scale * figure.q1, 0.0)
        high = max(scale * figure.q3 - value, 0.0)
        axes.barh(y, value, color=colour, height=0.72)
        axes.errorbar(value, y, xerr=[[low], [high]], color=INK, lw=1)
        right = max(value, scale * figure.q3)
        axes.annotate(
            f"{float(f'{value:.3g}'):,g} ms",
            (right, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(bars)), [bar[1] for bar in bars])
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.01)
    axes.set_xlabel("milliseconds, logarithmic; less is better")
    axes.set_title("What a training step waits for\nGPT-2 small, 1 thread")


def ratios_of(figures: dict[str, Figure]) -> list[Figure]:
    """One figure of each family: the rest of it is in the file."""
    return [
        figure
        for figure in figures.values()
        if figure.goal
        and figure.unit in ("ratio", "relative")
        and not figure.name.endswith(".huge")
        and not figure.name.startswith(FAMILIES)
    ]


def draw_goals(axes: Axes, ratios: list[Figure]) -> None:
    ratios = list(ratios)
    ratios.sort(key=lambda figure: (-figure.to_goal(figure.value), figure.name))
    for y, figure in enumerate(ratios):
        colour, marker = (BLUE, "o") if figure.holds else (VERMILION, "X")
        ends = [figure.to_goal(q) for q in (figure.q1, figure.q3)]
        axes.plot(ends, [y, y], color=colour, lw=1.5, alpha=0.6)
        axes.plot(figure.to_goal(figure.value), y, marker, color=colour, ms=4.5)
    axes.axvline(1.0, color=INK, lw=0.8, ls="--")
    axes.set_yticks(
        range(len(ratios)),
        [f"{figure.name}  ({figure.goal})" for figure in ratios],
        fontsize=6.5,
    )
    axes.set_xscale("log")
    axes.set_xlim(left=max(axes.get_xlim()[0], 0.05))
    axes.margins(y=0.01)
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("measured to goal, with quartiles; up to 1 is reached")
    n_held = sum(1 for figure in ratios if figure.holds)
    axes.set_title(
        f"Ratios beside their goals\n{n_held} of {len(ratios)} reached"
    )


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figures = read(Path(sys.argv[1]))
    ratios = ratios_of(figures)
    mpl.rcParams.update(STYLE)
    size = (11.0, max(4.0, 0.17 * len(ratios) + 1.2))
    left: Axes
    right: Axes
    figure, (left, right) = plt.subplots(1, 2, figsize=size)
    draw_stalls(left, figures)
    draw_goals(right, ratios)
    figure.tight_layout(w_pad=2.0)
    for out in map(Path, sys.argv[2:]):
        date = {"Date": None} if out.suffix == ".svg" else {"Software": None}
        figure.savefig(out, dpi=150, metadata=date)


if __name__ == "__main__":
    main()
