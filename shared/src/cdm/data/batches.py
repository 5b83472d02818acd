"""Batches of a split, read ahead by a thread; what a batch holds is a function of (seed, step)."""

import queue
import threading
from collections.abc import Callable, Generator

import numpy as np

from cdm.data import order
from cdm.data.reader import Split

Batch = dict[str, np.ndarray]
"""`image` uint8 [b, h, w, 3], `label` int32 [b]; `low_res` uint8 [b, l, l, 3] where asked for."""

# How long the reading thread waits before it looks whether it is still wanted, in seconds.
_PATIENCE = 0.1


def batches(
    split: Split,
    *,
    resolution: int,
    low_resolution: int | None = None,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    shard: tuple[int, int] = (0, 1),
    depth: int = 2,
) -> Generator[Batch, None, None]:
    """An endless stream of shuffled batches, from that of `start_step` on.

    Step k holds the positions k·batch_size … (k+1)·batch_size - 1 of the stream that
    `order.indices` defines, so a run that starts at any step sees what an unbroken one would have
    seen. A batch may be larger than the split: it goes on into the next epoch. `batch_size` counts
    all processes; `shard` = (index, count) takes the index-th of count equal slices of every batch,
    so the data do not depend on the number of processes.

    A thread reads `depth` batches ahead; its errors are raised here. Closing the generator ends the
    thread (`close()`, `contextlib.closing`, or when it is collected).

    Raises ValueError if the resolutions were not opened or the numbers make no sense.
    """
    index, count = shard
    if batch_size < 1 or count < 1 or batch_size % count:
        raise ValueError(
            f"a batch of {batch_size} cannot be divided among {count} processes; "
            "expected a multiple of their number"
        )
    if not 0 <= index < count:
        raise ValueError(f"shard {index} of {count}: expected an index from 0 to {count - 1}")
    if start_step < 0 or depth < 1:
        raise ValueError(f"start_step {start_step} must be >= 0 and depth {depth} >= 1")
    for size in (resolution, low_resolution):
        if size is not None and size not in split.resolutions:
            raise ValueError(f"resolution {size} was not opened; opened are: {split.resolutions}")

    part = batch_size // count

    def read(step: int) -> Batch:
        rows = order.indices(seed, step * batch_size + index * part, part, len(split))
        images, labels = split.read(rows, resolution)
        batch = {"image": images, "label": labels.astype(np.int32)}
        if low_resolution is not None:
            batch["low_res"] = split.read(rows, low_resolution)[0]
        return batch

    # A function of its own, so that the checks above are made now and not at the first next().
    return _ahead(read, start_step, depth)


def _ahead(
    read: Callable[[int], Batch], start_step: int, depth: int
) -> Generator[Batch, None, None]:
    ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: Batch | BaseException) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return

    def work() -> None:
        step = start_step
        try:
            while not stopped.is_set():
                put(read(step))
                step += 1
        except BaseException as error:  # handed over: the consumer raises it
            put(error)

    # A daemon, so that a program that ends by an error elsewhere does not wait for it.
    thread = threading.Thread(target=work, name="cdm-batches", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
