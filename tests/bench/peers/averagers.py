"""The peers: each as its users run it, one update of one average.

A peer is a name, the package it comes from, and a way to begin: given a model,
something that keeps its average, and what updates that once.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim import swa_utils

BETA = 0.9999

Update = Callable[[], object]
Begin = Callable[[nn.Module], Update]


@dataclass(frozen=True)
class Peer:
    name: str  # of figures
    package: str  # as installed
    title: str
    begin: Begin
    n_copies: int = 1  # of the parameters: the average, and what is temporary

    @property
    def version(self) -> str:
        return f"{self.package} {metadata.version(self.package)}"


def _ema_pytorch(use_foreach: bool) -> Begin:
    def begin(model: nn.Module) -> Update:
        from ema_pytorch import EMA

        ema = EMA(
            model,
            beta=BETA,
            update_after_step=0,
            update_every=1,
            use_foreach=use_foreach,
        )
        return lambda: ema.update()

    return begin


def timm_module() -> ModuleType:
    """timm/utils/model_ema.py as it is installed.

    `import timm` would import torchvision, which there is not for each build
    of torch; this one file of timm's needs torch alone.
    """
    package = importlib.util.find_spec("timm")
    if not package or not package.submodule_search_locations:
        raise ModuleNotFoundError("timm is not installed")
    path = f"{package.submodule_search_locations[0]}/utils/model_ema.py"
    spec = importlib.util.spec_from_file_location("timm_model_ema", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _timm(foreach: bool) -> Begin:
    def begin(model: nn.Module) -> Update:
        ema = timm_module().ModelEmaV3(model, decay=BETA, foreach=foreach)
        return lambda: ema.update(model)

    return begin


def _diffusers(foreach: bool) -> Begin:
    def begin(model: nn.Module) -> Update:
        from diffusers.training_utils import EMAModel

        ema = EMAModel(model.parameters(), decay=BETA, foreach=foreach)
        return lambda: ema.step(model.parameters())

    return begin


def _torch_ema(model: nn.Module) -> Update:
    from torch_ema import ExponentialMovingAverage

    ema = ExponentialMovingAverage(model.parameters(), decay=BETA)
    return lambda: ema.update()


def _averaged_model(**functions: Any) -> Begin:
    def begin(model: nn.Module) -> Update:
        ema = swa_utils.AveragedModel(model, **functions)
        return lambda: ema.update_parameters(model)

    return begin


def _foreach_lerp(model: nn.Module) -> Update:
    parameters = [p.detach() for p in model.parameters()]
    averages = [p.clone() for p in parameters]

    def update() -> None:
        torch._foreach_lerp_(averages, parameters, 1.0 - BETA)

    return update


PEERS = (
    Peer("ema_pytorch", "ema-pytorch", "ema_pytorch EMA", _ema_pytorch(False)),
    Peer(
        "ema_pytorch_foreach",
        "ema-pytorch",
        "ema_pytorch EMA, use_foreach",
        _ema_pytorch(True),
    ),
    Peer("timm", "timm", "timm ModelEmaV3, no foreach", _timm(False)),
    Peer("timm_foreach", "timm", "timm ModelEmaV3", _timm(True)),
    Peer("diffusers", "diffusers", "diffusers EMAModel", _diffusers(False)),
    Peer(
        "diffusers_foreach",
        "diffusers",
        "diffusers EMAModel, foreach",
        _diffusers(True),
        n_copies=2,
    ),
    Peer("torch_ema", "torch-ema", "torch-ema", _torch_ema),
    Peer(
        "averaged_model",
        "torch",
        "AveragedModel, get_ema_avg_fn",
        _averaged_model(avg_fn=swa_utils.get_ema_avg_fn(BETA)),
    ),
    Peer(
        "averaged_model_multi",
        "torch",
        "AveragedModel, get_ema_multi_avg_fn",
        _averaged_model(multi_avg_fn=swa_utils.get_ema_multi_avg_fn(BETA)),
    ),
    Peer("foreach_lerp", "torch", "torch._foreach_lerp_", _foreach_lerp),
)
