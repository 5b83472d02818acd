"""The Beam pipeline: one element is the number of one output shard.

No image travels through Beam, so there is nothing to shuffle or to hold in memory, and every runner
writes the same bytes: a shard is a function of its part of the manifest.
"""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from cdm_data_prep.shards import STOP, SplitJob, Stopped, write_shard

_ERRORS = "errors"


def write_shards(job: SplitJob, workers: int) -> None:
    """Writes all shards of a split by Beam's local runner, with threads: the codecs free the lock.

    Shards that are already there are kept. Raises OSError if files cannot be written.
    """
    # In a thread of its own, so that after Ctrl-C Beam can come to an end by itself: Python cannot
    # leave safely while Beam's threads are at work.
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(_run, job, workers)
        try:
            running.result()
        except KeyboardInterrupt:
            STOP.set()
            raise
        finally:
            executor.shutdown()
            STOP.clear()


def _run(job: SplitJob, workers: int) -> None:
    beam = _import_beam()
    # Named explicitly. "DirectRunner" first tries to download another runner from the network and
    # then silently falls back to this one.
    from apache_beam.metrics import MetricsFilter
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    options = PipelineOptions(
        flags=[], direct_running_mode="multi_threading", direct_num_workers=workers
    )
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        _ = (
            pipeline
            | "shard numbers" >> beam.Create(range(job.shards))
            | "spread" >> beam.Reshuffle()
            | "write shards" >> beam.Map(write_numbered_shard, job)
        )
    found = pipeline.result.metrics().query(MetricsFilter().with_name(_ERRORS))["string_sets"]
    errors = sorted(text for metric in found for text in metric.result)
    if errors:
        raise OSError(*json.loads(errors[0]))


def write_numbered_shard(shard: int, job: SplitJob) -> None:
    """`write_shard` as Beam calls it: the element first.

    A file that cannot be written is told by a metric. Beam would print the traceback of an
    exception, and hand it on as text only, while a full disk is no error of the program.
    """
    from apache_beam.metrics import Metrics

    try:
        write_shard(job, shard)
    except Stopped:
        return
    except OSError as error:
        values = error.errno, str(error.strerror), error.filename and str(error.filename)
        Metrics.string_set("cdm_data_prep", _ERRORS).add(json.dumps(values))


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
