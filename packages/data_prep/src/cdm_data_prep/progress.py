"""Progress of a running preparation, seen from the reports of its finished shards.

Looking at the files works with every runner, wherever its workers are.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdm_data_prep.shards import SplitJob, read_report

POLL = 0.5  # seconds between looks
PLAIN_INTERVAL = 10.0  # seconds between lines where the output is no terminal


@contextmanager
def shown_progress(job: SplitJob, listed: int) -> Iterator[None]:
    """Shows images written, images/s, dead letters and time left on stderr while the block lasts.

    A live line on a terminal, otherwise now and then a plain one.
    """
    console = Console(stderr=True)
    finished = _Finished(job)
    ended = threading.Event()
    show = _show_live if console.is_terminal else _show_plain
    thread = threading.Thread(
        target=show, args=(console, job.split, listed, finished, ended), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Finished:
    """Sums over the reports that are there; each is read once."""

    def __init__(self, job: SplitJob):
        self._paths = [job.report_path(shard) for shard in range(job.shards)]
        self._seen: dict[Path, tuple[int, int]] = {}
        self._start = time.monotonic()
        self.written = self.dead = 0
        self.look()
        self._before = self.written + self.dead

    def look(self) -> None:
        for path in self._paths:
            if not path.exists():
                self._seen.pop(path, None)
            elif path not in self._seen:
                try:
                    report = read_report(path)
                except ValueError:
                    continue  # of another version, or just removed: it will be written again
                self._seen[path] = report.written, len(report.dead)
        self.written = sum(written for written, _ in self._seen.values())
        self.dead = sum(dead for _, dead in self._seen.values())

    @property
    def rate(self) -> float:
        """Images per second since the start, without those that were there before."""
        done = self.written + self.dead - self._before
        return max(0, done) / max(1e-9, time.monotonic() - self._start)


def _show_live(
    console: Console, split: str, listed: int, finished: _Finished, ended: threading.Event
) -> None:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} images/s, {task.fields[dead]} dead"),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task(split, total=listed, rate=0.0, dead=0)
        while True:
            last = ended.wait(POLL)
            finished.look()
            done = finished.written + finished.dead
            progress.update(task, completed=done, rate=finished.rate, dead=finished.dead)
            if last:
                return


def _show_plain(
    console: Console, split: str, listed: int, finished: _Finished, ended: threading.Event
) -> None:
    while True:
        last = ended.wait(PLAIN_INTERVAL)
        finished.look()
        console.print(
            f"{split}: {finished.written:,} of {listed:,} images written, "
            f"{finished.rate:,.0f} images/s, {finished.dead} dead",
            highlight=False,
        )
        if last:
            return
