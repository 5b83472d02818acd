"""The order of the examples: a pure function of (seed, position), so there is no state to lose."""

import functools

import numpy as np


def indices(seed: int, start: int, count: int, n: int) -> np.ndarray:
    """The records at positions start … start + count - 1 of an endless stream: int64 [count].

    Positions count on over the epochs: position p is the (p mod n)-th of epoch p // n, and every
    epoch goes through all n records once, in an order drawn from (seed, epoch).
    """
    if n < 1:
        raise ValueError(f"cannot order {n} records; expected at least 1")
    if seed < 0 or start < 0 or count < 0:
        raise ValueError(f"seed {seed}, start {start} and count {count} must not be negative")
    parts = []
    position, stop = start, start + count
    while position < stop:
        epoch, offset = divmod(position, n)
        taken = min(n - offset, stop - position)
        parts.append(_permutation(seed, epoch, n)[offset : offset + taken])
        position += taken
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


# Two, because a batch may end in one epoch and begin in the one before.
@functools.lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    # NumPy promises that the raw bits of a bit generator stay the same in later versions, but not
    # so for Generator.permutation; sorting raw bits therefore fixes the order for good.
    raw = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(n)
    order = np.argsort(raw, kind="stable").astype(np.int64, copy=False)
    order.flags.writeable = False
    return order
