"""report.json: every number of an evaluation by its full name, and where it comes from."""

import dataclasses
from typing import Any

from cdm_evaluate.evaluation import Evaluation
from cdm_evaluate.metrics.figure import Figure

FORMAT_VERSION = 1


def record(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON values; `figures` maps each full name to its number and baseline."""
    trained = evaluation.classifier
    return {
        "format_version": FORMAT_VERSION,
        "figures": {
            scored.figure.name: {**_figure(scored.figure), "baseline": _figure(scored.baseline)}
            for scored in evaluation.scored
        },
        "consistency": {
            "samples": [dataclasses.asdict(entry) for entry in evaluation.consistency],
            "real": [dataclasses.asdict(entry) for entry in evaluation.real_consistency],
            "reported_by_sampler": evaluation.samples.settings.get("consistency"),
        },
        "classifier": {
            "config": dataclasses.asdict(trained.config),
            "resolution": trained.resolution,
            "validation_accuracy": trained.validation_accuracy,
            "parameters_digest": trained.digest,
        },
        "class_names": list(evaluation.class_names),
        "runs": [
            {
                "name": curve.name,
                "path": str(curve.path),
                "steps": curve.steps,
                "last": {quantity: curve.last(quantity) for quantity in curve.series},
            }
            for curve in evaluation.curves
        ],
        "samples": evaluation.samples.settings,
        "provenance": evaluation.provenance,
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "metric": figure.metric,
        "network": figure.network,
        "n": figure.n,
        "value": figure.value,
        "deviation": figure.deviation,
        "unit": figure.unit,
        "better": figure.better,
        "per_class": list(figure.per_class),
        "warning": figure.warning,
    }
