"""The command `gputhermo`: one function a subcommand.

A user's mistake ends in one line on standard error and exit code 2, a simulation that went wrong in one line and exit code
1. What a subcommand needs is imported when it runs.
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from .errors import InputError, SimulationError


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
        return code
    except InputError as error:
        message, code = str(error), 2
    except OSError as error:
        message, code = reason(error), 2
    except SimulationError as error:
        message, code = str(error), 1
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def reason(error: OSError) -> str:
    """What the system says, with the file's name where it gives one."""
    text = error.strerror or str(error)
    return f"{str(error.filename)!r}: {text}" if error.filename else text


def build_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="gputhermo", description="A two-dimensional gas with a piston: simulated, drawn, measured.")
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
    return parser


def run_generate(arguments: argparse.Namespace) -> int:
    """`gputhermo generate`: a dataset, from start or from where an earlier run stopped."""
    from rich.console import Console

    from .generate import Stopped, generate
    from .parameters import load_settings
    from .progress import show_progress, stop_on_signals

    settings = load_settings(arguments.preset, arguments.config, seed=arguments.seed)
    out: Path = arguments.out
    try:
        with stop_on_signals() as stop, show_progress(Console(stderr=True)) as report:
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
    except Stopped:
        print("stopped; the same command with --resume continues", file=sys.stderr)
        return 128 + stop.signal
    except OSError as error:
        raise InputError(
            f"out = {str(out)!r} cannot be written: {reason(error)}; finished processes are kept, --resume continues"
        ) from None
    print(f"wrote {out} in {status.elapsed:.0f} s: {status.n_processes} processes")
    return 0
