"""Where the numbers come from: commands, versions, digests, and every setting."""

import dataclasses
from collections.abc import Mapping
from html import escape
from typing import Any

from cdm_evaluate.evaluation import Evaluation

_LONGEST = 160  # characters of a value


def provenance_section(evaluation: Evaluation) -> str:
    """A short table, and the settings of the samples, the classifier and the runs to unfold."""
    provenance = dict(evaluation.provenance)
    parts = ["<h2>Provenance</h2>"]
    if command := provenance.pop("command", None):
        parts.append(f"<pre>{escape(str(command))}</pre>")
    parts.append(_settings(provenance))
    folds = {
        "Settings of the samples": evaluation.samples.settings,
        "Settings of the classifier": {
            **dataclasses.asdict(evaluation.classifier.config),
            "validation_accuracy": evaluation.classifier.validation_accuracy,
            "parameters_digest": evaluation.classifier.digest,
        },
        **{f"Settings of the run {curve.name}": curve.config for curve in evaluation.curves},
    }
    for title, settings in folds.items():
        parts.append(f"<details><summary>{escape(title)}</summary>{_settings(settings)}</details>")
    software = evaluation.provenance["versions"]["cascaded-diffusion"]
    parts.append(f"<footer>Written by cdm-evaluate {escape(software)}.</footer>")
    return "".join(parts)


def flat(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, text); lists of plain values stay in one line."""
    if isinstance(values, Mapping):
        items = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, list | tuple) and any(isinstance(v, Mapping) for v in values):
        items = [(str(index), value) for index, value in enumerate(values)]
    else:
        plain = isinstance(values, list | tuple)
        text = ", ".join(map(str, values)) if plain else str(values)
        if len(text) > _LONGEST:
            text = text[:_LONGEST] + " …"
        return [(prefix, text)]
    rows = []
    for key, value in items:
        rows += flat(value, f"{prefix}.{key}" if prefix else key)
    return rows


def _settings(values: Any) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in flat(values)
    )
    return f'<table class="settings"><tbody>{rows}</tbody></table>'
