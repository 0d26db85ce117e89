"""What the tests of reliability count; `scripts/soak.py` makes tables of it."""

from dataclasses import dataclass, field


@dataclass
class Faults:
    """Faults that were injected, and what became of them.

    recovered  those after which every finished file could be read and the next run made the undisturbed one's files
    wrong      what was not so, in words
    """

    what: str = ""
    injected: int = 0
    recovered: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def settle(self, n_faults: int, wrong: list[str]) -> None:
        """Note what became of faults."""
        self.injected += n_faults
        self.recovered += 0 if wrong else n_faults
        self.lost += n_faults if wrong else 0
        self.wrong += wrong

    def row(self) -> dict[str, object]:
        """For the table."""
        counts = {"injected": self.injected, "recovered": self.recovered, "lost": self.lost}
        return {"table": "faults", "what": self.what, **counts, **self.figures}


@dataclass
class Inputs:
    """Inputs that were tried: accepted and worked with, or rejected in a line, or neither, which is a traceback."""

    what: str = ""
    accepted: int = 0
    rejected: int = 0
    tracebacks: int = 0

    def row(self) -> dict[str, object]:
        """For the table."""
        tried = self.accepted + self.rejected + self.tracebacks
        counts = {"accepted": self.accepted, "rejected": self.rejected, "tracebacks": self.tracebacks}
        return {"table": "inputs", "what": self.what, "tried": tried, **counts}


@dataclass
class Mutations:
    """Changes of files that were tried, and those that nobody noticed."""

    what: str = ""
    tried: int = 0
    undetected: int = 0

    def row(self) -> dict[str, object]:
        """For the table."""
        return {"table": "mutations", "what": self.what, "tried": self.tried, "undetected": self.undetected}
