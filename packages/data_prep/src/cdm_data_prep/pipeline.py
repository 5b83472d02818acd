"""The Beam pipeline: one element is the number of one output shard.

No image travels through Beam, so there is nothing to shuffle or to hold in memory, and every runner
writes the same bytes: a shard is a function of its part of the manifest.
"""

import json
import logging
import re
from types import ModuleType

from cdm_data_prep.shards import SplitJob, write_shard


class ShardError(Exception):
    """A file of a shard could not be written.

    Beam hands errors back as the text of a traceback, so this one carries the OSError as JSON
    between marks, and `found_in` takes it out again.
    """

    def __init__(self, error: OSError):
        super().__init__(f"[[{json.dumps([error.errno, str(error.strerror), error.filename])}]]")

    @classmethod
    def found_in(cls, text: str) -> OSError | None:
        """The first error that the text tells of."""
        found = re.search(rf"{cls.__name__}: \[(\[.*\])\]", text)
        return OSError(*json.loads(found[1])) if found else None


def write_shards(job: SplitJob, workers: int) -> None:
    """Writes all shards of a split by Beam's local runner, with threads: the codecs free the lock.

    Shards that are already there are kept. Raises OSError if files cannot be written.
    """
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors are raised, not logged
    beam = _import_beam()
    # Named explicitly. "DirectRunner" first tries to download another runner from the network and
    # then silently falls back to this one.
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    options = PipelineOptions(
        flags=[], direct_running_mode="multi_threading", direct_num_workers=workers
    )
    try:
        with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
            _ = (
                pipeline
                | "shard numbers" >> beam.Create(range(job.shards))
                | "spread" >> beam.Reshuffle()
                | "write shards" >> beam.Map(write_numbered_shard, job)
            )
    except RuntimeError as error:
        if (cause := ShardError.found_in(str(error))) is not None:
            raise cause from error
        raise


def write_numbered_shard(shard: int, job: SplitJob) -> None:
    """`write_shard` as Beam calls it: the element first, and errors that survive the way back."""
    try:
        write_shard(job, shard)
    except OSError as error:
        raise ShardError(error) from error


def _import_beam() -> ModuleType:
    """Imports Beam without its warning about Google's cloud libraries, which are not used."""
    root = logging.getLogger()
    root.addFilter(_not_about_apitools)
    try:
        import apache_beam
    finally:
        root.removeFilter(_not_about_apitools)
    return apache_beam


def _not_about_apitools(record: logging.LogRecord) -> bool:
    return "apitools not found" not in record.getMessage()
