"""The sections of the page, each a function from the evaluation to HTML; "" leaves one out."""

from html import escape

import numpy as np

from cdm_evaluate.curves import Curve
from cdm_evaluate.evaluation import Evaluation, Scored
from cdm_evaluate.metrics.figure import Figure
from cdm_evaluate.report.charts import Line, line_chart
from cdm_evaluate.report.pictures import data_address, mosaic

_HERO_COLUMNS, _HERO_ROWS = 12, 2
_MOST_BARS = 40
_QUARTILES = ("loss_q0", "loss_q1", "loss_q2", "loss_q3")


def head_section(evaluation: Evaluation) -> str:
    """Title, what was scored against what, a first look, and the headline figures."""
    samples = evaluation.samples
    r = samples.resolution
    stages = " → ".join(f"{stage}×{stage}" for stage in samples.stages)
    images = evaluation.provenance["images"]
    accuracy = evaluation.classifier.validation_accuracy
    network = evaluation.scored[0].figure.network
    first = list(samples.images[: _HERO_COLUMNS * _HERO_ROWS])
    picture = data_address(
        mosaic(first, columns=min(_HERO_COLUMNS, len(first)), gap=max(1, r // 16))
    )
    return (
        '<header><p class="eyebrow">Evaluation of a cascade</p>'
        f"<h1>{escape(evaluation.data_name)}, {r}×{r}</h1>"
        f'<p class="lead">{_whole(len(samples.labels))} <b class="sample">samples</b> of the '
        f"stages {stages}, scored against {_whole(images['train'])} training and "
        f"{_whole(images['validation'])} validation images. The features are those of a classifier "
        f"trained on the same data (<code>{escape(network)}</code>), which is right on "
        f"{100 * accuracy:.2f} % of the validation images.</p>"
        f'<div class="hero"><img src="{picture}" alt="the first samples"></div>'
        f'<div class="tiles">{"".join(map(_tile, evaluation.scored))}</div></header>'
    )


def figures_section(evaluation: Evaluation) -> str:
    """Every figure with its full name, beside the same figure of real images."""
    rows = "".join(map(_row, evaluation.scored))
    return (
        "<section><h2>Figures</h2><p class='note'>A name says what was measured, the feature "
        'network, and the number of images. <b class="real">Real images</b>, as many of them as '
        "there are samples, show what a perfect model would score: no figure can be judged without "
        "that. Figures of different feature networks or numbers of images cannot be compared."
        '</p><table class="figures"><thead><tr><th>Figure</th><th class="number">Samples</th>'
        '<th class="number">Real images</th><th>Better</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def gallery_section(evaluation: Evaluation) -> str:
    """A card for each class: the same samples at every stage, and below them real images."""
    samples = evaluation.samples
    chosen = {
        label: np.flatnonzero(samples.labels == label)[: evaluation.gallery_images]
        for label in evaluation.real_images
    }
    columns = max(
        max(len(rows) for rows in chosen.values()),
        max(len(images) for images in evaluation.real_images.values()),
    )
    lowest = min(samples.stages)
    cards = []
    for label, rows in chosen.items():
        strips = [
            _strip(f"{r}×{r}", "sample", images[rows], columns, _gap(r, lowest))
            for r, images in samples.stages.items()
        ]
        real = evaluation.real_images[label]
        if len(real):
            strips.append(_strip("real", "real", real, columns, _gap(samples.resolution, lowest)))
        name = escape(evaluation.class_names[label])
        cards.append(f'<div class="card"><h3>{name}</h3>{"".join(strips)}</div>')
    shown = (
        f" {len(chosen)} of {len(evaluation.class_names)} classes are shown."
        if len(chosen) < len(evaluation.class_names)
        else ""
    )
    return (
        "<section><h2>Stage by stage</h2><p class='note'>A column is one sample, from the base "
        'stage down to the last. Below them, <b class="real">real</b> validation images of the '
        f"class. The samples are the first of each class, not chosen.{shown}</p>"
        f'<div class="gallery">{"".join(cards)}</div></section>'
    )


def per_class_section(evaluation: Evaluation) -> str:
    """A bar for each class of every figure that has parts, the real images' share marked on it."""
    parts = []
    for scored in evaluation.scored:
        if not scored.figure.per_class:
            continue
        shares = list(enumerate(scored.figure.per_class))
        shares = [(label, share) for label, share in shares if share is not None]
        note = ""
        if len(shares) > _MOST_BARS:
            # The weakest are what a reader looks for.
            shares = sorted(shares, key=lambda entry: entry[1])[:_MOST_BARS]  # type: ignore[arg-type,return-value]
            note = f" The {_MOST_BARS} lowest classes are shown; report.json has all."
        bars = "".join(
            _bar(
                evaluation.class_names[label],
                share,  # type: ignore[arg-type]
                scored.baseline.per_class[label],
            )
            for label, share in shares
        )
        parts.append(
            f"<section><h2>{escape(scored.figure.metric.capitalize())} by class</h2>"
            f"<p class='note'>{escape(scored.figure.meaning)} The line marks "
            f'<b class="real">real images</b>.{note}</p><div class="bars">{bars}</div></section>'
        )
    return "".join(parts)


def consistency_section(evaluation: Evaluation) -> str:
    """How far each super-resolution stage departs from its low-res input."""
    if not evaluation.consistency:
        return ""
    real = {(e.low_res, e.resolution): e for e in evaluation.real_consistency}
    rows = []
    for entry in evaluation.consistency:
        baseline = real.get((entry.low_res, entry.resolution))
        shift = "&ensp;".join(_signed(channel) for channel in entry.colour_shift)
        floor = f"{baseline.mean_abs_difference:.2f}" if baseline else "–"
        rows.append(
            f"<tr><td>{entry.low_res}×{entry.low_res} → {entry.resolution}×{entry.resolution}"
            f"{_conditioning(evaluation, entry.resolution)}</td>"
            f'<td class="number strong sample">{entry.mean_abs_difference:.2f}</td>'
            f'<td class="number real">{floor}</td><td class="number">{shift}</td></tr>'
        )
    return (
        "<section><h2>Low-res consistency</h2><p class='note'>The output of each super-resolution "
        "stage, averaged down, against its input: mean absolute difference, and mean difference of "
        "red, green and blue, in levels of 255. Real images differ by rounding only. With "
        "conditioning augmentation (s &gt; 0) a stage is meant to depart from its input a little: "
        "it repairs what the stage before it got wrong.</p>"
        '<table><thead><tr><th>Stage</th><th class="number">Samples</th>'
        '<th class="number">Real</th><th class="number">Colour shift</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def training_section(evaluation: Evaluation) -> str:
    """The curves of the runs that were given."""
    if not evaluation.curves:
        return ""
    return (
        "<section><h2>Training</h2><p class='note'>Running means over the logged values, which are "
        "drawn faintly behind them. The quartiles are of the noise level t: q0 the least noise, q3 "
        f"the most.</p>{''.join(map(_training, evaluation.curves))}</section>"
    )


def _tile(scored: Scored) -> str:
    value, _, deviation = scored.figure.text.partition(" ± ")
    small = f" <small>± {escape(deviation)}</small>" if deviation else ""
    arrow = {"lower": "↓", "higher": "↑"}[scored.figure.better]
    return (
        f'<div class="card"><p class="metric">{escape(scored.figure.metric)} {arrow}</p>'
        f'<p class="value sample">{escape(value)}{small}</p>'
        f'<p class="baseline real">real {escape(scored.baseline.text)}</p></div>'
    )


def _row(scored: Scored) -> str:
    figure, baseline = scored.figure, scored.baseline
    warning = f'<p class="warning">{escape(figure.warning)}</p>' if figure.warning else ""
    return (
        f'<tr><td><span class="name">{escape(figure.name)}</span>'
        f'<p class="meaning">{escape(figure.meaning)}</p>{warning}</td>'
        f'<td class="number strong sample" data-label="samples">{escape(figure.text)}</td>'
        f'<td class="number real" data-label="real">{escape(baseline.text)}'
        f'{_other_n(figure, baseline)}</td><td class="direction">{escape(figure.better)}</td></tr>'
    )


def _other_n(figure: Figure, baseline: Figure) -> str:
    return "" if baseline.n == figure.n else f"<br><small>@{baseline.n}</small>"


def _bar(name: str, share: float, baseline: float | None) -> str:
    mark = "" if baseline is None else f'<span class="mark" style="left:{baseline:.1f}%"></span>'
    return (
        f'<div class="bar"><span class="class" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="track"><span class="fill" style="width:{share:.1f}%"></span>{mark}</span>'
        f'<span class="share">{share:.0f} %</span></div>'
    )


def _strip(label: str, style: str, images: np.ndarray, columns: int, gap: int) -> str:
    address = data_address(mosaic(list(images), columns=columns, gap=gap))
    return (
        f'<div class="strip"><span class="{style}">{label}</span>'
        f'<img src="{address}" alt="{label}"></div>'
    )


def _gap(resolution: int, lowest: int) -> int:
    """In proportion to the resolution, so that the columns of all stages stand below each other."""
    return max(1, round(resolution / lowest))


def _training(curve: Curve) -> str:
    charts = []
    if "loss" in curve.series:
        charts.append(_chart(curve, {"loss": "loss"}, "loss"))
    quartiles = {q: f"q{i}" for i, q in enumerate(_QUARTILES) if q in curve.series}
    if quartiles:
        charts.append(_chart(curve, quartiles, "loss by quartile of t"))
    facts = [f"{_whole(curve.steps)} steps"]
    if (loss := curve.last("loss")) is not None:
        facts.append(f"last loss {loss:.4g}")
    if speed := curve.series.get("images_per_second"):
        facts.append(f"{np.median([value for _, value in speed]):.0f} images/s (median)")
    return (
        f'<h3>{escape(curve.name)} <small class="lead">{" · ".join(facts)}</small></h3>'
        f'<div class="charts">{"".join(charts)}</div>'
    )


def _chart(curve: Curve, names: dict[str, str], title: str) -> str:
    lines = []
    for index, (quantity, name) in enumerate(names.items(), start=1):
        steps, values = zip(*curve.series[quantity], strict=True)
        lines.append(Line(name=name, x=steps, y=values, style=f"line-{index}"))
    svg = line_chart(lines, title=f"{title} of {curve.name}", x_label="step")
    return f'<div class="card"><p class="note">{escape(title)}</p>{svg}</div>'


def _conditioning(evaluation: Evaluation, resolution: int) -> str:
    """Name and s of the stage of this resolution, if the sampler reported them."""
    reported = evaluation.samples.settings.get("consistency")
    for entry in reported if isinstance(reported, list) else ():
        if isinstance(entry, dict) and entry.get("resolution") == resolution and "s" in entry:
            text = f"{entry.get('stage', '')}, s = {entry['s']}"
            return f'<p class="meaning">{escape(text)}</p>'
    return ""


def _signed(value: float) -> str:
    """Two decimals with a sign; what rounds to zero has none."""
    text = f"{abs(value):.2f}"
    sign = "" if float(text) == 0 else ("+" if value > 0 else "−")
    return sign + text


def _whole(number: int) -> str:
    return f"{number:,}"
