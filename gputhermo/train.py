"""Train the network on the order of states in time; stop and resume at will.

A step takes some processes, computes S~ of all their states in one forward pass, and lowers the mean cross-entropy of
all pairs of states of each. Every state is shown under a symmetry of the square and in a direction of time of its own,
so that S~ itself, and not only its differences between states that are turned alike, learns not to depend on them.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import Tensor

from .checkpoint import Epoch, Folder
from .encoder import Encoder
from .errors import InputError, Stopped, out_of_memory
from .feed import Feed
from .live_feed import LiveFeed
from .network_file import NETWORKS
from .outfile import naming
from .pairs import Score, over_pairs, over_processes, pair_loss, score
from .parameters import Settings, TrainSettings
from .read_ahead import CACHE, ReadAhead, Source
from .simulated_feed import SimulatedFeed, SimulationStatus
from .torch_device import choose_device, choose_precision, tiny_is_zero, torch_state
from .version import __version__

CHECKPOINT_INTERVAL = 45.0
"""Seconds between checkpoints within an epoch: with a step and the saving itself, a kill costs less than a minute."""
LOGS = "tensorboard"
"""Name of the folder of logs for TensorBoard."""
INITIAL_WEIGHTS, ORDER, SHARD = range(3)
"""What random numbers are drawn for: a part of the address of each seed."""


@dataclass(frozen=True, kw_only=True)
class TrainStatus:
    """How far a training run is."""

    epoch: int
    """Number of the epoch in course, from 1; of the last one at the end."""
    n_epochs: int
    fraction: float
    """Of all steps, those of earlier, interrupted runs among them."""
    training: Score | None
    """Over all pairs that were seen in the epoch in course; None before its first step."""
    last: Epoch | None
    """The last finished epoch."""
    best: Epoch | None
    """The one with the lowest validation loss."""
    elapsed: float
    """Seconds since this run began."""
    device: str

    def __str__(self) -> str:
        """Epoch, and loss and accuracy in training and validation."""
        text = f"epoch {self.epoch}/{self.n_epochs}"
        if self.training is not None:
            text += f"  loss {self.training.loss:.4f}  accuracy {self.training.accuracy:.4f}"
        if self.last is not None:
            text += f"  validation {self.last.validation_loss:.4f} {self.last.validation_accuracy:.4f}"
        return text


def train(
    file: str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    device: str = "auto",
    n_threads: int | None = None,
    cache: float = CACHE,
    resume: bool = False,
    report: Callable[[TrainStatus], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainStatus:
    """Train a network on the dataset `file` and leave weights and history in the folder `out` (see `checkpoint`).

    Up to `cache` GB of clips are kept in memory once they are read. `report` is called and `stop` asked after each
    step; a true answer raises Stopped once the state is saved. On the same machine the weights depend on the settings,
    the dataset and the kind of device only: not on threads or interruptions. Raises InputError for a file, folder,
    device or settings that cannot be used, if memory does not suffice, and if the loss is no longer a number; nothing
    is overwritten then.
    """
    settings = settings or TrainSettings()
    with (
        closing(Feed(file, n_threads, settings.split_seed)) as feed,
        training(feed, out, settings, device, n_threads, cache, resume) as run,
    ):
        return run.to_the_end(report, stop)


def train_on_simulation(
    dataset: Settings,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    device: str = "auto",
    n_threads: int | None = None,
    cache: float = CACHE,
    resume: bool = False,
    report: Callable[[SimulationStatus | TrainStatus], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainStatus:
    """Train as `train` does, on the dataset that `dataset` describes, which is simulated first and written nowhere.

    The weights are those of `train` on the file that `generate` makes on the same device. A run that resumes simulates
    again. Raises SimulationError if a simulation goes wrong.
    """
    settings = settings or TrainSettings()
    feed = SimulatedFeed(dataset, device, n_threads, settings.split_seed)
    with training(feed, out, settings, device, n_threads, cache, resume) as run:
        return run.to_the_end(report, stop)


def train_live(
    dataset: Settings,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    device: str = "auto",
    n_threads: int | None = None,
    cache: float = CACHE,
    resume: bool = False,
    report: Callable[[SimulationStatus | TrainStatus], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainStatus:
    """Train as `train_on_simulation` does, with other initial states of the training processes in each epoch.

    They are simulated on the device of the training while the network learns from those of the epoch before. The
    validation processes stay, and up to `cache` GB of their clips are kept in memory.
    """
    settings = settings or TrainSettings()
    with (
        closing(LiveFeed(dataset, settings.epochs, device, n_threads, settings.split_seed)) as feed,
        training(feed, out, settings, device, n_threads, cache, resume) as run,
    ):
        return run.to_the_end(report, stop)


@contextmanager
def training(
    source: Source,
    out: str | Path,
    settings: TrainSettings,
    device: str,
    n_threads: int | None,
    cache: float,
    resume: bool,
) -> Iterator["Training"]:
    """A run on the clips of `source`, whose folder is claimed within the block."""
    with (
        torch_state(choose_device(device)) as chosen,
        threads_without_tracebacks(),
        closing(Training(source, Path(out), settings, chosen, n_threads, cache, resume)) as run,
    ):
        try:
            yield run
        except (MemoryError, RuntimeError) as error:
            if out_of_memory(error):
                raise InputError(
                    f"processes_per_step = {settings.processes_per_step} and cache = {cache:g} GB need more memory "
                    f"than {chosen} has free"
                ) from None
            raise


@contextmanager
def threads_without_tracebacks() -> Iterator[None]:
    """Within the block a thread that ends with an OSError prints nothing.

    TensorBoard's prints what it also raises where it is used next, and there it can be made one line.
    """
    usual = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, OSError):
            usual(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual


class Training:
    """A network in training."""

    def __init__(
        self,
        source: Source,
        out: Path,
        settings: TrainSettings,
        device: torch.device,
        n_threads: int | None,
        cache: float,
        resume: bool,
    ):
        self.source = source
        self.clips = ReadAhead(source, cache)
        self.settings = settings
        self.device = device
        self.precision = choose_precision(settings.precision, device)
        self.processes = source.processes("train")
        self.validation = source.processes("validation")
        for split, processes in (("train", self.processes), ("validation", self.validation)):
            if not processes:
                raise InputError(f"split.{split}: the dataset has no process there; at least 1 is needed")
        self.steps_per_epoch = math.ceil(len(self.processes) / settings.processes_per_step)
        self.n_steps = settings.epochs * self.steps_per_epoch
        torch.manual_seed(self._seed(INITIAL_WEIGHTS))
        network = NETWORKS[settings.network]
        self.network = network(source.settings.protocol.frames, source.settings.image.pixels).to(device)
        self.encoder = Encoder(self.network, self.precision, n_threads)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.folder = Folder(out, self._recipe(), resume)
        try:
            self.progress = self.folder.load_checkpoint(self.network, self.optimizer)
            self.board = None if self.finished else open_tensorboard(out, first_epoch=len(self.progress.epochs) + 1)
        except BaseException:
            self.folder.close()
            raise
        self.began = self.saved = time.monotonic()

    def _recipe(self) -> str:
        """All that the weights depend on, as TOML."""
        return tomli_w.dumps(
            {
                "package_version": __version__,
                "device": self.device.type,
                "train": self.settings.model_dump(mode="json", exclude_none=True)
                | {"precision": str(self.precision).removeprefix("torch.")},
                "dataset": self.source.settings.model_dump(mode="json"),
                "simulated": self.source.simulated,
            }
        )

    def _seed(self, purpose: int, *address: int) -> int:
        """A seed for torch, for one purpose: of the run, of an epoch, or of a shard by its step and number."""
        sequence = np.random.SeedSequence((self.settings.seed, purpose, *address))
        return int(sequence.generate_state(1, np.uint64)[0])

    def close(self) -> None:
        """Release the folder and the threads."""
        self.clips.close()
        self.encoder.close()
        self.folder.close()
        if self.board is not None:
            with suppress(OSError):  # a log without its last line; what else went wrong is to be heard
                self.board.close()

    def to_the_end(self, report: Callable[[Any], None], stop: Callable[[], bool]) -> TrainStatus:
        """Train what is missing."""
        while not self.finished:
            self.source.prepare(len(self.progress.epochs), report, stop)
            with tiny_is_zero():
                self._train_epoch(report, stop)
                self._finish_epoch(self._validate(stop))
                report(self.status())
        return self.status()

    @property
    def finished(self) -> bool:
        """Whether no epoch is missing."""
        return len(self.progress.epochs) >= self.settings.epochs

    def _train_epoch(self, report: Callable[[TrainStatus], None], stop: Callable[[], bool]) -> None:
        """Do the steps that the epoch in course still lacks."""
        epoch = len(self.progress.epochs)
        batches = self._batches(epoch)[self.progress.step - epoch * self.steps_per_epoch :]
        with closing(self.clips.batches(batches, keep=self.source.repeats)) as clips_of_batches:
            for clips in clips_of_batches:
                self._step(clips)
                self._pause(stop)
                report(self.status())

    def _batches(self, epoch: int) -> list[list[int]]:
        """The training processes, in an order that is drawn for the epoch, step by step."""
        draws = torch.Generator().manual_seed(self._seed(ORDER, epoch))
        order = [self.processes[k] for k in torch.randperm(len(self.processes), generator=draws).tolist()]
        size = self.settings.processes_per_step
        return [order[first : first + size] for first in range(0, len(order), size)]

    def _step(self, clips: list[Tensor]) -> None:
        """One step of Adam on all pairs of the states of each process in `clips`."""
        n_states = [len(process) for process in clips]

        def mean_loss(entropies: Tensor) -> Tensor:
            return torch.stack([pair_loss(process) for process in torch.split(entropies, n_states)]).mean()

        step = self.progress.step
        entropies = self.encoder.descend(clips, mean_loss, lambda shard: self._seed(SHARD, step, shard))
        scores = [score(process) for process in torch.split(entropies, n_states)]
        self._check(over_processes(scores).loss)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step)
        self.optimizer.step()
        self.progress.step += 1
        self.progress.scores += scores

    def _learning_rate(self, step: int) -> float:
        """Half a cosine from the setting, in step 0, towards 0."""
        return self.settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / self.n_steps))

    def _check(self, loss: float) -> None:
        """Raise InputError if the loss is not a number any more."""
        if not math.isfinite(loss):
            raise InputError(
                f"learning_rate = {self.settings.learning_rate:g} is not allowed: the loss is {loss} after "
                f"{self.progress.step} steps; a smaller one is needed"
            )

    def _validate(self, stop: Callable[[], bool]) -> list[Score]:
        """The score of each validation process, with images as they are and without dropout."""
        scores = []
        with closing(self.clips.batches([process] for process in self.validation)) as batches:
            for (clips,) in batches:
                scores.append(score(self.encoder.entropies(clips)))
                self._check(scores[-1].loss)
                self._pause(stop)
        return scores

    def _finish_epoch(self, validation: list[Score]) -> None:
        """Note what the epoch came to, and write it out."""
        training, pooled, mean = over_pairs(self.progress.scores), over_pairs(validation), over_processes(validation)
        epoch = Epoch(
            epoch=len(self.progress.epochs) + 1,
            step=self.progress.step,
            learning_rate=self._learning_rate(self.progress.step - 1),
            loss=training.loss,
            accuracy=training.accuracy,
            validation_loss=pooled.loss,
            validation_accuracy=pooled.accuracy,
            validation_process_loss=mean.loss,
            validation_process_accuracy=mean.accuracy,
        )
        self.progress.epochs.append(epoch)
        self.progress.scores = []
        self.folder.save_epoch(self.network, self.progress)
        self._save_checkpoint()
        if self.board is not None:
            with naming(self.folder.path / LOGS):
                for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"):
                    self.board.add_scalar(name, getattr(epoch, name), epoch.epoch)
                self.board.flush()

    def _pause(self, stop: Callable[[], bool]) -> None:
        """Save the state now and then, and when the run is to stop."""
        stopped = stop()
        if stopped or time.monotonic() - self.saved > CHECKPOINT_INTERVAL:
            self._save_checkpoint()
        if stopped:
            raise Stopped

    def _save_checkpoint(self) -> None:
        self.folder.save_checkpoint(self.network, self.optimizer, self.progress)
        self.saved = time.monotonic()

    def status(self) -> TrainStatus:
        """How far the run is."""
        progress = self.progress
        return TrainStatus(
            epoch=min(len(progress.epochs) + 1, self.settings.epochs),
            n_epochs=self.settings.epochs,
            fraction=progress.step / self.n_steps,
            training=over_pairs(progress.scores) if progress.scores else None,
            last=progress.epochs[-1] if progress.epochs else None,
            best=progress.best,
            elapsed=time.monotonic() - self.began,
            device=str(self.device),
        )


def open_tensorboard(folder: Path, first_epoch: int) -> Any:
    """A writer of TensorBoard logs from `first_epoch` on; None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    with naming(folder / LOGS):
        return SummaryWriter(str(folder / LOGS), purge_step=first_epoch)
