"""The report: one HTML page for people, one JSON file for programs."""

from pathlib import Path

from cdm.files import whole_file, write_json
from cdm_evaluate.evaluation import Evaluation
from cdm_evaluate.report.page import page
from cdm_evaluate.report.record import record

HTML_FILE = "report.html"
JSON_FILE = "report.json"


def write_report(evaluation: Evaluation, out: str | Path) -> Path:
    """Writes both files into the folder `out` and returns the path of the page."""
    out = Path(out)
    with whole_file(out / HTML_FILE) as file:
        file.write(page(evaluation).encode())
    write_json(out / JSON_FILE, record(evaluation))
    return out / HTML_FILE
