"""What a run tells: a live line, metrics.jsonl, TensorBoard."""

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cdm.files import whole_file

METRICS = "metrics.jsonl"


class Report:
    """Writes the figures of a run as they come. Use as a context manager.

    Args:
        run: the run's folder. start_step: where the run starts or goes on; what was written for
            later steps, before a crash, is withdrawn. total_steps: for the live line.
    """

    def __init__(self, run: Path, start_step: int, total_steps: int, console: Console):
        self.console = console
        self.metrics = run / METRICS
        self.previews = run / "previews"
        _withdraw(self.metrics, start_step)
        self.lines = self.metrics.open("a")
        self.writer = EventFileWriter(str(run / "tensorboard"))
        # TensorBoard drops what other event files hold from this step on.
        self._event(start_step, session_log=SessionLog(status=SessionLog.START))
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task(
            "training", total=total_steps, completed=start_step, figures=""
        )

    def __enter__(self) -> "Report":
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()
        self.lines.close()
        self.writer.close()

    def advance(self, step: int) -> None:
        """Moves the live line to a step."""
        self.progress.update(self.task, completed=step)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Records the figures of the steps up to this one."""
        self.lines.write(json.dumps({"step": step, **figures}) + "\n")
        self.lines.flush()
        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._event(step, summary=Summary(value=values))
        text = f"loss {figures['loss']:.4f}  {figures['images_per_second']:.0f} img/s"
        self.progress.update(self.task, completed=step, figures=text)
        if not self.console.is_terminal:
            self.console.print(f"step {step}  {text}", highlight=False)

    def preview(self, step: int, picture: Image.Image) -> None:
        """Keeps a picture as a file and for TensorBoard."""
        data = io.BytesIO()
        picture.save(data, "PNG")
        with whole_file(self.previews / f"{step:08d}.png") as file:
            file.write(data.getvalue())
        image = Summary.Image(
            height=picture.height,
            width=picture.width,
            colorspace=3,
            encoded_image_string=data.getvalue(),
        )
        self._event(step, summary=Summary(value=[Summary.Value(tag="preview", image=image)]))

    def say(self, text: str) -> None:
        """Prints a line above the live one."""
        # No markup and no line breaks: the text may hold paths, which people copy.
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _event(self, step: int, **content: Any) -> None:
        self.writer.add_event(Event(step=step, wall_time=time.time(), **content))


def _withdraw(metrics: Path, start_step: int) -> None:
    """Drops the lines of steps after `start_step`: the run will write them again."""
    if not metrics.exists():
        return
    kept = []
    for line in metrics.read_text().splitlines():
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError):  # a line cut short by a crash
            continue
        if step <= start_step:
            kept.append(line + "\n")
    with whole_file(metrics) as file:
        file.write("".join(kept).encode())
