"""Replay the exchange that PROTOCOL.md shows in hex against the real daemon."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

source = pathlib.Path(os.environ["top_srcdir"])
build = pathlib.Path(os.environ["top_builddir"])


def exchange():
    """[(who, bytes), ...] in the order of the page."""
    page = (source / "proto" / "PROTOCOL.md").read_text()
    blocks = re.findall(r"```hex (client|daemon)\n(.*?)```", page, re.S)
    return [(who, bytes.fromhex(text)) for who, text in blocks]


def read_exactly(connection, n):
    data = b""
    while len(data) < n:
        more = connection.recv(n - len(data))
        if not more:
            break
        data += more
    return data


def replay(path):
    """None, or what differs."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(path)
    with connection:
        for who, data in exchange():
            if who == "client":
                connection.sendall(data)
                continue
            answer = read_exactly(connection, len(data))
            if answer != data:
                return f"expected {data.hex(' ')}, got {answer.hex(' ')}"
    return None


def main():
    print("1..2")
    blocks = exchange()
    print("ok 1 - the page shows four messages" if len(blocks) == 4
          else f"not ok 1 - the page shows {len(blocks)} messages")
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "s")
    daemon = subprocess.Popen(
        [build / "emad", "--instance", f"protocol-{os.getpid()}",
         "--address", f"ipc://{path}"],
        stdout=subprocess.PIPE)
    try:
        daemon.stdout.readline()
        difference = replay(path)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        shutil.rmtree(folder)
    print(f"not ok 2 - {difference}" if difference
          else "ok 2 - the daemon answers as the page says")


main()
