"""From nothing to the report: generate, train and evaluate into one folder, skipping what is done.

dataset.h5   the processes
training/    the folder of the training run
and what `evaluate` writes, results.json last
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from .checkpoint import BEST
from .claims import Results, load_results
from .errors import InputError
from .evaluate import digest, evaluate
from .generate import generate
from .parameters import EvaluateSettings, Settings, TrainSettings
from .progress import Status
from .read_ahead import CACHE
from .train import train
from .workfolder import make_folder

Show = Callable[[str], AbstractContextManager[Callable[[Status], None]]]
"""Given the name of a stage, opens a display that is told how far the stage is."""
STAGES = ("simulate and draw", "train", "evaluate")


def reproduce(
    settings: Settings,
    training: TrainSettings,
    evaluation: EvaluateSettings,
    out: str | Path,
    *,
    device: str = "auto",
    n_threads: int | None = None,
    cache: float = CACHE,
    show: Show = lambda stage: nullcontext(lambda status: None),
    stop: Callable[[], bool] = lambda: False,
) -> Results:
    """Do every stage that the folder `out` still lacks.

    A true answer of `stop` raises Stopped with everything saved, and the same call goes on from there. Raises
    InputError and SimulationError as the stages do, and InputError if what is there was made with other settings.
    """
    out = Path(out)
    make_folder(out)
    dataset, network = out / "dataset.h5", out / "training"
    with show(STAGES[0]) as report:
        generate(settings, dataset, device=device, n_threads=n_threads, resume=True, report=report, stop=stop)
    with show(STAGES[1]) as report:
        train(
            dataset,
            network,
            training,
            device=device,
            n_threads=n_threads,
            cache=cache,
            resume=True,
            report=report,
            stop=stop,
        )
    weights, finished = network / BEST, out / "results.json"
    if finished.exists():
        results = load_results(finished)
        run = results.run
        if (run.dataset, run.evaluation, run.weights_sha256) != (settings, evaluation, digest(weights)):
            raise InputError(
                f"out = {str(out)!r} has results of other settings or weights; remove them or choose another folder"
            )
        return results
    with show(STAGES[2]) as report:
        return evaluate(dataset, weights, out, evaluation, device=device, n_threads=n_threads, report=report, stop=stop)
