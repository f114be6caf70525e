"""Workers in processes of their own, which are killed in the middle of their work and started again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

PYTHON = [sys.executable, "-m"]
WORKERS = {
    "migma_deliver": [*PYTHON, "django", "migma_deliver"],
    "tasks": [*PYTHON, "django", "db_worker", "--interval", "0.2", "--no-startup-delay", "--queue-name", "*"],
    "celery": [*PYTHON, "celery", "--app", "tests.soak.celery_app", "worker", "--concurrency", "1"],
}
"""How the worker of each engine is started. ``migma_deliver`` is none: it runs all the time."""
ENVIRONMENT_LEFT_OUT = {"COVERAGE_PROCESS_CONFIG"}
"""What is killed writes no coverage, and its tracing takes half of the time."""
SWEEP = [*PYTHON, "django", "migma_deliver", "--once"]
SECONDS_BETWEEN_SWEEPS = 10.0  # a minute on a site; less here, since leases are shorter too
PATIENCE = 120.0  # seconds for a process to end


def environment() -> dict[str, str]:
    """That of this process, as far as workers need it."""
    return {name: value for name, value in os.environ.items() if name not in ENVIRONMENT_LEFT_OUT}


class Worker:
    """A process with a group of its own, so that its children die with it."""

    def __init__(self, command: list[str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment(),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL the whole group: children of Celery's worker would go on without their parent."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def terminate(self) -> None:
        """SIGTERM, as a deployment does. What does not end by then is killed."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self.kill()


class Killer:
    """Keeps workers running, and kills all of them together after a random time, again and again, until told to stop.

    ``before`` is called right before each kill.
    """

    def __init__(
        self,
        engine: str,
        *,
        workers: int,
        log: Path,
        seed: int,
        pause: tuple[float, float],
        before: Callable[[], None],
    ) -> None:
        self._commands = [WORKERS[engine]] * workers
        self._needs_sweeps = engine != "migma_deliver"
        self._log = log
        self._pause = pause
        self._before = before
        self._random = random.Random(seed)
        self._calm = threading.Event()
        self._stopped = threading.Event()
        self.kills = 0

    @contextlib.contextmanager
    def killing(self) -> Iterator[Killer]:
        """Kill until `calm` is called; the workers run to the end of the block."""
        targets = [self._kill_again_and_again, *[self._sweep] * self._needs_sweeps]
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.calm()
            self._stopped.set()
            for thread in threads:
                thread.join()

    def calm(self) -> None:
        """Kill no more."""
        self._calm.set()

    def _kill_again_and_again(self) -> None:
        workers = self._start()
        while not self._calm.wait(self._random.uniform(*self._pause)):
            self._before()
            for worker in workers:
                worker.kill()
            self.kills += 1
            workers = self._start()
        self._stopped.wait()
        for worker in workers:
            worker.terminate()

    def _start(self) -> list[Worker]:
        return [Worker(command, self._log) for command in self._commands]

    def _sweep(self) -> None:
        is_over = False
        while not is_over:
            with self._log.open("ab") as output:
                subprocess.run(SWEEP, env=environment(), stdout=output, stderr=subprocess.STDOUT, check=False)
            is_over = self._stopped.wait(SECONDS_BETWEEN_SWEEPS)
