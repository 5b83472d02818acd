"""A number that a reader can quote: its metric, the feature network behind it, and n."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One result. `value` of a percentage is in 0…100, and so are its parts."""

    metric: str  # e.g. FD-train
    network: str  # the feature network
    n: int  # images that were scored
    value: float
    deviation: float | None = None
    unit: Literal["", "%"] = ""
    better: Literal["lower", "higher"]
    meaning: str  # one sentence for a reader
    per_class: tuple[float | None, ...] = ()  # position = label; None: no image of the class
    warning: str | None = None

    @property
    def name(self) -> str:
        """The full name, e.g. `FD-train[glyphs-classifier]@1000`."""
        return f"{self.metric}[{self.network}]@{self.n}"

    @property
    def text(self) -> str:
        """The value as a reader sees it: three digits that count, and the deviation if any."""
        digits = 1 if self.unit == "%" else decimals(self.value)
        text = f"{self.value:.{digits}f}"
        if self.deviation is not None:
            text += f" ± {self.deviation:.{digits}f}"
        return f"{text} {self.unit}".rstrip()


def decimals(value: float) -> int:
    """How many digits behind the point show a value to about three digits that count: 1 to 4."""
    for digits, limit in ((1, 100.0), (2, 1.0), (3, 0.1)):
        if abs(value) >= limit:
            return digits
    return 4
