"""Whether other processes used the processors, as tests/bench/quiet.c sees it.

The thresholds are the same; see there.
"""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

# Both are counted in ticks of 10 ms, so that some noise is in them.
OTHERS_SECONDS = 0.02
OTHERS_SHARE = 0.02

LOOK_SECONDS = 0.05
AWAIT_SECONDS = 2.0  # before a round
AWAIT_TOTAL = 60.0  # in all

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
USER, NICE, SYSTEM, STEAL = 1, 2, 3, 8  # fields of /proc/stat's first line


@dataclass(frozen=True)
class Look:
    """What others had used at a moment, both in seconds."""

    when: float
    others: float


def _read_busy() -> float:
    """What processes used, and other machines stole."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        fields = file.readline().split()
    return TICK * sum(int(fields[i]) for i in (USER, NICE, SYSTEM, STEAL))


def _read_process(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    # The name in brackets may hold anything: go on after the last one.
    fields = text.rpartition(")")[2].split()
    return TICK * (int(fields[11]) + int(fields[12]))


def _read_own() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Watch:
    """Looks at the processors; the processes in `pids` do not disturb."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self._spent = 0.0

    def look(self) -> Look:
        when = time.monotonic()
        own = _read_own() + sum(_read_process(pid) for pid in self.pids)
        return Look(when, _read_busy() - own)

    def wait(self) -> Look:
        """Wait for a quiet moment, but not for long."""
        begin = time.monotonic()
        before = self.look()
        while True:
            time.sleep(LOOK_SECONDS)
            now = self.look()
            if (
                now.others - before.others <= OTHERS_SECONDS
                or now.when - begin >= AWAIT_SECONDS
                or self._spent >= AWAIT_TOTAL
            ):
                break
            before = now
        self._spent += now.when - begin
        return now

    def quiet_since(self, before: Look) -> bool:
        now = self.look()
        allowed = OTHERS_SECONDS + OTHERS_SHARE * (now.when - before.when)
        return now.others - before.others < allowed
