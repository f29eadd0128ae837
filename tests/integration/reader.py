"""Read the public files with the safetensors package while updates go on.

usage: reader.py COPY SLOW N: the two files of a uniform model (see
tests/lib/uniform.h), and how many times to read each.
"""
import sys
import time

import numpy
from safetensors import safe_open
from safetensors.numpy import load_file


def check(tensors, step, is_copy):
    for name, values in tensors.items():
        values = values.reshape(-1)
        if values.size == 0:
            continue
        bits = values.view(numpy.uint8).reshape(values.size, -1)
        if (bits != bits[0]).any():
            sys.exit(f"step {step}: {name} holds several steps")
        if is_copy and name in ("wide", "double") and values[0] != step:
            sys.exit(f"{name} is not of step {step}: {values[0]}")


def read(path, is_copy):
    with safe_open(path, framework="np") as file:
        step = int(file.metadata()["emad.step"])
        names = list(file.keys())
        check({name: file.get_tensor(name) for name in names}, step, is_copy)
    loaded = load_file(path)
    newer = int(loaded["counter"].reshape(-1)[0])
    if newer < step:
        sys.exit(f"step {newer} after step {step}")
    check(loaded, newer, is_copy)
    return newer


def main():
    paths, n = sys.argv[1:3], int(sys.argv[3])
    steps = set()
    n_read = 0
    deadline = time.monotonic() + 120
    # At least so often, and until an update has gone on meanwhile.
    while n_read < n or len(steps) < 2:
        if n_read >= n and time.monotonic() > deadline:
            sys.exit("no update went on meanwhile")
        steps.add(read(paths[0], True))
        read(paths[1], False)
        n_read += 1


main()
