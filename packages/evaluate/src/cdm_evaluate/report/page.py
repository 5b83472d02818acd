"""The page: a self-contained HTML document made of the sections."""

from html import escape

from cdm_evaluate.evaluation import Evaluation
from cdm_evaluate.report.provenance import provenance_section
from cdm_evaluate.report.sections import (
    consistency_section,
    figures_section,
    gallery_section,
    head_section,
    per_class_section,
    training_section,
)
from cdm_evaluate.report.style import STYLE


def page(evaluation: Evaluation) -> str:
    """The whole document: no script, nothing loaded from elsewhere. All texts are escaped."""
    r = evaluation.samples.resolution
    title = f"{evaluation.data_name} {r}×{r}: evaluation"
    sections = (
        head_section(evaluation),
        figures_section(evaluation),
        gallery_section(evaluation),
        per_class_section(evaluation),
        consistency_section(evaluation),
        training_section(evaluation),
        provenance_section(evaluation),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )
