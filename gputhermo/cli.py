"""The command `gputhermo`: one function a subcommand.

A user's mistake ends in one line on standard error and exit code 2, a simulation that went wrong in one line and exit
code 1. What a subcommand needs is imported when it runs.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from .errors import InputError, Interrupted, SimulationError, out_of_memory
from .version import __version__


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the message."""
        raise InputError(f"{message} (see {self.prog} --help)")


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv`; returns the exit code."""
    try:
        arguments = build_parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except InputError as error:
        message, code = str(error), 2
    except BrokenPipeError:
        # The reader of our output, such as `head`, has left; nothing more is to be written there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        message, code = system_message(error), 2
    except SimulationError as error:
        message, code = str(error), 1
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        message, code = "the memory of this machine, or what is allowed of it, does not suffice for this", 2
    except Interrupted as interrupted:
        return interrupted.exit_code
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return code


def system_message(error: OSError) -> str:
    """What the operating system said, and of which file."""
    text = error.strerror or str(error)
    return f"{str(error.filename)!r}: {text}" if error.filename else text


def build_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="gputhermo", description="A two-dimensional gas with a piston: simulated, drawn, measured.")
    parser.add_argument("--version", action="version", version=f"gputhermo {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("generate", help="simulate a set of processes and write the dataset file")
    command.set_defaults(run=run_generate)
    command.add_argument("--preset", required=True, help="settings to start from: paper or demo")
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help="the HDF5 file to write")
    command.add_argument("--config", type=Path, metavar="FILE.toml", help="settings that replace those of the preset")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    command.add_argument("--seed", type=int, metavar="N", help="of initial states and of the split")
    command.add_argument("--resume", action="store_true", help="continue unfinished work of an earlier run")
    command.add_argument("--no-images", action="store_true", help="leave the images out of the file")

    command = commands.add_parser("info", help="describe a dataset file")
    command.set_defaults(run=run_info)
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--json", action="store_true", help="as JSON")

    command = commands.add_parser("render", help="draw a process, or one of its states")
    command.set_defaults(run=run_render)
    add_selection(command)
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help=".png, or .gif for an animation")

    command = commands.add_parser("export", help="write snapshots for OVITO")
    command.set_defaults(run=run_export)
    add_selection(command)
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help=".xyz (extended XYZ) or .gsd")

    command = commands.add_parser("train", help="train the network on the order of states in time")
    command.set_defaults(run=run_train)
    command.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a dataset file")
    command.add_argument("--preset", help="paper or demo: simulate its processes instead, with nothing written")
    command.add_argument(
        "--live", action="store_true", help="with --preset: new processes in each epoch, simulated beside the training"
    )
    command.add_argument(
        "--dataset-config", type=Path, metavar="FILE.toml", help="settings of the dataset that replace the preset's"
    )
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for weights and history")
    command.add_argument("--config", type=Path, metavar="FILE.toml", help="settings of the training")
    command.add_argument("--network", metavar="NAME", help="paper or pooled (default: paper)")
    command.add_argument("--epochs", type=int, metavar="N", help="times that every training process is seen")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    command.add_argument(
        "--cache", type=float, default=8.0, metavar="GB", help="memory in which clips that were read stay (default: 8)"
    )
    command.add_argument("--seed", type=int, metavar="N", help="of initial weights, order, augmentation and dropout")
    command.add_argument("--split-seed", type=int, metavar="N", help="draws another split than that of the dataset")
    command.add_argument("--resume", action="store_true", help="continue unfinished work of an earlier run")

    command = commands.add_parser("evaluate", help="judge a network by the axioms of thermodynamics; write a report")
    command.set_defaults(run=run_evaluate)
    command.add_argument("file", type=Path, metavar="FILE", help="a dataset file, whose test processes are used")
    command.add_argument("--weights", required=True, type=Path, metavar="FILE", help="of a network: best.safetensors")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for results, figures, report")
    command.add_argument("--config", type=Path, metavar="FILE.toml", help="settings that replace the defaults")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    command.add_argument("--seed", type=int, metavar="N", help="of twins, splits, dusts and bootstrap samples")

    command = commands.add_parser("reproduce", help="everything: generate, train, evaluate, report; skips what is done")
    command.set_defaults(run=run_reproduce)
    command.add_argument("--preset", required=True, help="paper or demo")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for all that is made")
    command.add_argument("--network", metavar="NAME", help="to train: paper or pooled (default: paper)")
    command.add_argument("--epochs", type=int, metavar="N", help="of training, instead of the preset's")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    command.add_argument(
        "--cache", type=float, default=8.0, metavar="GB", help="memory in which clips that were read stay (default: 8)"
    )
    command.add_argument("--seed", type=int, metavar="N", help="of everything random")

    command = commands.add_parser("doctor", help="say what this machine offers and what is missing")
    command.set_defaults(run=run_doctor)
    return parser


def add_selection(command: argparse.ArgumentParser) -> None:
    """Arguments that choose a process of a file, or one of its holds."""
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--process", required=True, type=int, metavar="P", help="number of the process, from 0")
    command.add_argument("--hold", type=int, metavar="H", help="number of the hold, from 0 (default: all)")


def run_generate(arguments: argparse.Namespace) -> int:
    """`gputhermo generate`: a dataset, from the start or from where an earlier run stopped."""
    from rich.console import Console

    from .generate import generate
    from .parameters import load_settings
    from .printout import print_closing
    from .progress import show_progress, stoppable
    from .summary import read_tables, summarise

    settings = load_settings(arguments.preset, arguments.config, seed=arguments.seed)
    out: Path = arguments.out
    try:
        with stoppable(" with --resume") as stop, show_progress(Console(stderr=True)) as report:
            status = generate(
                settings,
                out,
                device=arguments.device,
                n_threads=arguments.threads,
                resume=arguments.resume,
                with_images=not arguments.no_images,
                report=report,
                stop=stop,
            )
    except OSError as error:
        raise InputError(
            f"out = {str(out)!r} cannot be written: {system_message(error)}; what is finished is kept, and the same "
            "command with --resume continues"
        ) from None
    print_closing(status, summarise(read_tables(out)), out)
    return 0


def run_info(arguments: argparse.Namespace) -> int:
    """`gputhermo info`: a file's contents."""
    import dataclasses
    import json

    from .summary import read_tables, summarise

    summary = summarise(read_tables(arguments.file))
    if arguments.json:
        sys.stdout.write(json.dumps(dataclasses.asdict(summary), indent=2) + "\n")
    else:
        from .printout import print_summary

        print_summary(summary)
    return 0


def run_render(arguments: argparse.Namespace) -> int:
    """`gputhermo render`: pictures of a process or of a state."""
    out: Path = arguments.out
    if out.suffix not in (".png", ".gif"):
        raise InputError(f"out = {str(out)!r} is not allowed: the name must end in .png or .gif")

    from . import figures
    from .reader import ProcessReader

    with ProcessReader(arguments.file, arguments.process) as reader:
        holds = reader.select_holds(arguments.hold)
        if out.suffix == ".gif":
            figures.save_animation(reader, holds, out)
        elif arguments.hold is None:
            figures.save(figures.process_overview(reader), out)
        else:
            figures.save(figures.state_frames(reader, arguments.hold), out)
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """`gputhermo export`: snapshots for OVITO."""
    from .export import export
    from .reader import ProcessReader

    with ProcessReader(arguments.file, arguments.process) as reader:
        export(reader, reader.select_holds(arguments.hold), arguments.out)
    return 0


def run_train(arguments: argparse.Namespace) -> int:
    """`gputhermo train`: weights, from the start or from where an earlier run stopped."""
    from rich.console import Console

    from .parameters import load_settings, load_train_settings
    from .printout import print_trained
    from .progress import show_progress, stoppable
    from .train import train, train_live, train_on_simulation

    preset: str | None = arguments.preset
    if (arguments.file is None) == (preset is None):
        raise InputError("one dataset is needed: a FILE, or --preset for one that is simulated")
    if arguments.dataset_config is not None and preset is None:
        raise InputError("--dataset-config is not allowed with a FILE, which has settings of its own")
    if arguments.live and preset is None:
        raise InputError("--live is not allowed with a FILE: it needs --preset, for what to simulate")
    settings = load_train_settings(
        arguments.config,
        preset or "paper",
        network=arguments.network,
        epochs=arguments.epochs,
        seed=arguments.seed,
        split_seed=arguments.split_seed,
    )
    out: Path = arguments.out
    options = {
        "device": arguments.device,
        "n_threads": arguments.threads,
        "cache": arguments.cache,
        "resume": arguments.resume,
    }
    with stoppable(" with --resume") as stop, show_progress(Console(stderr=True)) as report:
        if preset is None:
            status = train(arguments.file, out, settings, **options, report=report, stop=stop)
        else:
            dataset = load_settings(preset, arguments.dataset_config)
            train_simulated = train_live if arguments.live else train_on_simulation
            status = train_simulated(dataset, out, settings, **options, report=report, stop=stop)
    print_trained(status, out)
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """`gputhermo evaluate`: results, figures and report."""
    from rich.console import Console

    from .evaluate import evaluate
    from .parameters import load_evaluate_settings
    from .printout import print_claims
    from .progress import show_progress, stoppable

    settings = load_evaluate_settings(arguments.config, seed=arguments.seed)
    with stoppable() as stop, show_progress(Console(stderr=True)) as report:
        results = evaluate(
            arguments.file,
            arguments.weights,
            arguments.out,
            settings,
            device=arguments.device,
            n_threads=arguments.threads,
            report=report,
            stop=stop,
        )
    print_claims(results, arguments.out)
    return 0


def run_reproduce(arguments: argparse.Namespace) -> int:
    """`gputhermo reproduce`: every stage that is not done yet."""
    from rich.console import Console

    from .parameters import load_evaluate_settings, load_settings, load_train_settings
    from .printout import print_claims
    from .progress import Status, show_progress, stoppable
    from .reproduce import STAGES, reproduce

    preset, seed = arguments.preset, arguments.seed
    settings = load_settings(preset, seed=seed)
    training = load_train_settings(preset=preset, network=arguments.network, seed=seed, epochs=arguments.epochs)
    evaluation = load_evaluate_settings(seed=seed)
    console = Console(stderr=True)

    @contextmanager
    def show(stage: str) -> Iterator[Callable[[Status], None]]:
        console.print(f"{STAGES.index(stage) + 1}/{len(STAGES)}  {stage}", highlight=False)
        with show_progress(console) as report:
            yield report

    with stoppable() as stop:
        results = reproduce(
            settings,
            training,
            evaluation,
            arguments.out,
            device=arguments.device,
            n_threads=arguments.threads,
            cache=arguments.cache,
            show=show,
            stop=stop,
        )
    print_claims(results, arguments.out)
    return 0


def run_doctor(_: argparse.Namespace) -> int:
    """`gputhermo doctor`: the machine, as findings."""
    from .doctor import examine
    from .printout import print_findings

    print_findings(examine())
    return 0
