"""An emad of the build tree with an instance and a socket of its own."""

import ctypes
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

SHARED_MEMORY = Path("/dev/shm")
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 60


def build_folder() -> Path:
    """Where emad was built: EMAD_BUILD, or build-bench/."""
    top = Path(__file__).resolve().parents[3]
    return Path(os.environ.get("EMAD_BUILD", top / "build-bench")).resolve()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """Runs from `with` on; leaves nothing in shared memory."""

    def __init__(self, n_workers: int) -> None:
        self.instance = f"peers{os.getpid()}"
        self._folder = tempfile.TemporaryDirectory(prefix="emad-peers-")
        self.address = f"ipc://{self._folder.name}/emad.sock"
        self._n_workers = n_workers
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Daemon":
        command = [str(build_folder() / "emad"), "--instance", self.instance]
        command += ["--address", self.address]
        command += ["--workers", str(self._n_workers)]
        log = Path(self._folder.name, "log")
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=_end_with_parent,
            )
        self._process = process
        assert process.stdout
        line = process.stdout.readline()
        if "listening at " not in line:
            process.wait(STOP_SECONDS)
            said = line + log.read_text(encoding="utf-8")
            self.__exit__(None, None, None)
            raise RuntimeError(f"emad did not start; it said {said!r}")
        return self

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def path(self, model: str, profile: str = "ema") -> Path:
        """The public file of an average."""
        name = f"emad.{self.instance}.{model}.{profile}.safetensors"
        return SHARED_MEMORY / name

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process and process.stdout:
            process.stdout.close()
        for pattern in (f"emad.{self.instance}.*", f".emad.{self.instance}.*"):
            for path in SHARED_MEMORY.glob(pattern):
                path.unlink(missing_ok=True)
        self._folder.cleanup()
