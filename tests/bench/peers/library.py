"""libemad through ctypes, as far as the benchmarks need it.

Not a client for others to use: tensors are named by their order, and errors
end the program.  Layouts of structures that emad.h may extend are known to
shim.c alone.
"""

import ctypes
from collections.abc import Sequence
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int64,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass

import torch

from daemon import build_folder

DTYPES = {torch.float32: b"F32", torch.bfloat16: b"BF16"}
NEWEST = -1
WAIT_MS = 60000


class _Model(ctypes.Structure):
    _fields_ = (
        ("name", c_char_p),
        ("n_tensors", c_size_t),
        ("names", POINTER(c_char_p)),
        ("dtypes", POINTER(c_char_p)),
        ("n_dims", POINTER(c_size_t)),
        ("shapes", POINTER(POINTER(c_uint64))),
    )


class _Choice(ctypes.Structure):
    _fields_ = (
        ("variant", c_char_p),
        ("beta", c_double),
        ("min_value", c_double),
        ("update_after_step", c_int64),
        ("update_every", c_int64),
        ("n_slots", c_uint),
        ("n_copy_threads", c_uint),
    )


# Name of the function, result, arguments; all of libemad but for shim_....
_FUNCTIONS = (
    ("emad_error", c_char_p, ()),
    ("emad_connect", c_int, (POINTER(c_void_p), c_char_p, c_int)),
    ("emad_close", None, (c_void_p,)),
    ("emad_drop", c_int, (c_void_p, c_char_p, c_char_p)),
    ("emad_detach", c_int, (c_void_p,)),
    ("emad_flush", c_int, (c_void_p,)),
    ("emad_wants", c_int, (c_void_p, c_int64)),
    ("emad_publish_data", c_int, (c_void_p, c_int64, c_void_p)),
    ("emad_publish_data_async", c_int, (c_void_p, c_int64, c_void_p)),
    ("emad_publish_wait", c_int, (c_void_p,)),
    ("emad_begin", c_int, (c_void_p, c_void_p)),
    ("emad_commit", c_int, (c_void_p, c_int64)),
    (
        "emad_pull",
        c_int,
        (POINTER(c_void_p), c_void_p, c_char_p, c_char_p, c_int64, c_int),
    ),
    ("emad_view_close", None, (c_void_p,)),
    (
        "shim_attach",
        c_int,
        (POINTER(c_void_p), c_void_p, POINTER(_Model), POINTER(_Choice)),
    ),
    ("shim_view_data", c_void_p, (c_void_p, c_char_p)),
    (
        "shim_lerp",
        c_double,
        (c_void_p, c_void_p, c_void_p, c_size_t, c_float, c_uint),
    ),
    (
        "shim_copy",
        c_double,
        (c_void_p, c_void_p, c_void_p, c_size_t, c_size_t, c_uint),
    ),
)


def _load() -> ctypes.CDLL:
    # The shim finds libemad where it is loaded already.
    folder = build_folder()
    ctypes.CDLL(
        str(folder / "client/.libs/libemad.so"), mode=ctypes.RTLD_GLOBAL
    )
    library = ctypes.CDLL(str(folder / "tests/bench/peers/.libs/libshim.so"))
    for name, result, arguments in _FUNCTIONS:
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


LIBRARY = _load()


def pointers(tensors: Sequence[torch.Tensor]) -> ctypes.Array[c_void_p]:
    return (c_void_p * len(tensors))(*[t.data_ptr() for t in tensors])


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(LIBRARY.emad_error().decode())


def at_address(address: int, like: torch.Tensor) -> torch.Tensor:
    """A tensor whose values are the memory at `address`."""
    memory = (ctypes.c_char * like.nbytes).from_address(address)
    return torch.frombuffer(memory, dtype=like.dtype).view(like.shape)


@dataclass(frozen=True)
class Choice:
    """How a model is averaged and published; by default, every step."""

    variant: str = "constant"
    beta: float = 0.999
    min_value: float = 0.0
    update_after_step: int = 0
    update_every: int = 1
    n_slots: int = 0
    n_copy_threads: int = 0

    def structure(self) -> _Choice:
        return _Choice(
            self.variant.encode(),
            self.beta,
            self.min_value,
            self.update_after_step,
            self.update_every,
            self.n_slots,
            self.n_copy_threads,
        )


class Emad:
    """A connection."""

    def __init__(self, address: str) -> None:
        self.handle = c_void_p()
        _check(LIBRARY.emad_connect(byref(self.handle), address.encode(), -1))

    def close(self) -> None:
        LIBRARY.emad_close(self.handle)

    def pull(self, model: str) -> "View":
        view = c_void_p()
        _check(
            LIBRARY.emad_pull(
                byref(view), self.handle, model.encode(), None, NEWEST, 0
            )
        )
        return View(view)


class View:
    """One version, mapped."""

    def __init__(self, handle: c_void_p) -> None:
        self._handle = handle

    def data(self, name: str) -> int:
        """The address of a tensor's values, until close()."""
        address: int = LIBRARY.shim_view_data(self._handle, name.encode())
        return address

    def close(self) -> None:
        LIBRARY.emad_view_close(self._handle)


class Publisher:
    """A trainer's model, attached."""

    def __init__(
        self,
        emad: Emad,
        name: str,
        tensors: Sequence[torch.Tensor],
        choice: Choice,
    ) -> None:
        n = len(tensors)
        shapes = [(c_uint64 * t.dim())(*t.shape) for t in tensors]
        model = _Model(
            name.encode(),
            n,
            (c_char_p * n)(*[f"t{i:03}".encode() for i in range(n)]),
            (c_char_p * n)(*[DTYPES[t.dtype] for t in tensors]),
            (c_size_t * n)(*[t.dim() for t in tensors]),
            (POINTER(c_uint64) * n)(
                *[ctypes.cast(shape, POINTER(c_uint64)) for shape in shapes]
            ),
        )
        self._emad = emad
        self._name = name
        self._handle = c_void_p()
        self._like = [torch.empty_like(t, device="meta") for t in tensors]
        self._places = (c_void_p * n)()  # of the tensors in the slot
        self._busy: object = None  # what an asynchronous copy reads from
        self.step = 0  # the next one
        _check(
            LIBRARY.shim_attach(
                byref(self._handle),
                emad.handle,
                byref(model),
                byref(choice.structure()),
            )
        )

    def _wants(self) -> bool:
        self.step += 1
        return bool(LIBRARY.emad_wants(self._handle, self.step - 1))

    def publish(self, tensors: Sequence[torch.Tensor]) -> None:
        if self._wants():
            data = pointers(tensors)
            _check(LIBRARY.emad_publish_data(self._handle, self.step - 1, data))

    def publish_async(self, tensors: Sequence[torch.Tensor]) -> None:
        if self._wants():
            data = self._busy = pointers(tensors)
            _check(
                LIBRARY.emad_publish_data_async(
                    self._handle, self.step - 1, data
                )
            )

    def wait(self) -> None:
        _check(LIBRARY.emad_publish_wait(self._handle))

    def begin(self) -> None:
        """The slot is this process's again, to write into."""
        _check(LIBRARY.emad_begin(self._handle, self._places))

    def commit(self) -> bool:
        """Whether the slot was given away: the schedule wanted the step."""
        if not self._wants():
            return False
        _check(LIBRARY.emad_commit(self._handle, self.step - 1))
        return True

    def move(self, tensors: Sequence[torch.Tensor]) -> None:
        """Begin, and let the tensors live in the slot from here on."""
        self.begin()
        trios = zip(tensors, self._places, self._like, strict=True)
        for tensor, address, like in trios:
            place = at_address(address or 0, like)
            place.copy_(tensor.detach())
            tensor.data = place

    def flush(self) -> None:
        _check(LIBRARY.emad_flush(self._handle))

    def end(self) -> None:
        """Detach and forget the model; moved tensors are gone then."""
        _check(LIBRARY.emad_detach(self._handle))
        name = self._name.encode()
        _check(LIBRARY.emad_drop(self._emad.handle, name, None))


class Loops:
    """The bare loops over a list of float32 tensors."""

    PAGES = 2**64 - 1  # as a copy's distance: pages in lock step

    def __init__(self, values: Sequence[torch.Tensor]) -> None:
        self._values = pointers(values)
        self._n = len(values)
        self._sizes = (c_size_t * self._n)(*[v.numel() for v in values])

    def lerp(
        self, averages: ctypes.Array[c_void_p], weight: float, n_threads: int
    ) -> float:
        seconds: float = LIBRARY.shim_lerp(
            averages, self._values, self._sizes, self._n, weight, n_threads
        )
        return seconds

    def copy(self, to: int, distance: int, n_threads: int) -> float:
        seconds: float = LIBRARY.shim_copy(
            to, self._values, self._sizes, self._n, distance, n_threads
        )
        return seconds

    def copy_size(self) -> int:
        """Bytes that copy() needs."""
        return sum(4 * size + 64 for size in self._sizes)
