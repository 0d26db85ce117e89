"""The folder of a training run: the weights it made, its history, and the state from which it goes on.

    settings.toml             what is trained on which dataset; a run that resumes must agree with it
    checkpoint.safetensors    weights, moments of Adam and progress: all that the next step depends on
    best.safetensors          weights after the epoch with the lowest validation loss
    last.safetensors          weights after the last finished epoch
    history.jsonl             a line of JSON for each epoch

Random numbers need no place in it: what a step draws depends on the seed and the number of the step alone. Every file
is replaced as a whole, the checkpoint last, so a kill at any moment costs some steps, which are then done again alike.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save
from torch import Tensor
from torch.optim import Adam

from .errors import InputError
from .network_file import read_safetensors, save_network
from .outfile import replaced
from .pairs import Score
from .representation import Representation
from .seal import BLANK, sealed
from .workfolder import RECIPE, WorkFolder

BEST, LAST = "best.safetensors", "last.safetensors"
"""Names of the files of weights."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What an epoch came to: losses are mean cross-entropies of a pair, accuracies shares of pairs in order."""

    epoch: int
    """Its number, from 1."""
    step: int
    """Steps of Adam done by its end."""
    learning_rate: float
    """In its last step."""
    loss: float
    """Over all pairs of the training processes, augmented and with dropout, each as it was when its step was done."""
    accuracy: float
    validation_loss: float
    """Over all pairs of the validation processes, with the weights at the end of the epoch."""
    validation_accuracy: float
    validation_process_loss: float
    """Mean over the validation processes of the loss over all pairs of each."""
    validation_process_accuracy: float


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    """Steps of Adam done."""
    scores: list[Score] = field(default_factory=list)
    """Of each training process seen in the unfinished epoch."""
    epochs: list[Epoch] = field(default_factory=list)
    """The finished ones."""

    @property
    def best(self) -> Epoch | None:
        """The first finished epoch with the lowest validation loss."""
        return min(self.epochs, key=lambda epoch: epoch.validation_loss, default=None)


class Folder(WorkFolder):
    """The folder of a training run, kept away from other processes until it is closed."""

    def __init__(self, path: Path, recipe: str, resume: bool):
        """Open or make the folder. `recipe` is the content of its settings.toml.

        Raises InputError if something else is there, if an earlier run is there and `resume` is not set, if that was
        another run than `recipe` describes, or if another process is at it.
        """
        earlier = f"out = {str(path)!r} has the work of an earlier run; continue it with --resume or remove it"
        super().__init__(
            path,
            recipe,
            mismatch=f"resume is not allowed: {str(path / RECIPE)!r} shows that the work was begun with other "
            "settings, another dataset, another version or another kind of device",
            refusal=None if resume else earlier,
        )

    def save_epoch(self, network: Representation, progress: Progress) -> None:
        """Write the weights and the history at the end of an epoch."""
        epoch = progress.epochs[-1]
        if progress.best is epoch:
            save_network(network, self.path / BEST, self.recipe, epoch.epoch)
        save_network(network, self.path / LAST, self.recipe, epoch.epoch)
        with replaced(self.path / "history.jsonl") as new:
            lines = [json.dumps(dataclasses.asdict(epoch)) + "\n" for epoch in progress.epochs]
            new.write_text("".join(lines), encoding="utf-8")

    def save_checkpoint(self, network: Representation, optimizer: Adam, progress: Progress) -> None:
        """Replace the checkpoint, durably."""
        tensors = {f"network.{name}": weight.contiguous() for name, weight in network.state_dict().items()}
        names = [name for name, _ in network.named_parameters()]
        for index, moments in optimizer.state_dict()["state"].items():
            for kind, tensor in moments.items():
                tensors[f"adam.{kind}.{names[index]}"] = tensor.contiguous()
        described = json.dumps({"seal": BLANK, **dataclasses.asdict(progress)})
        with sealed(self.path / "checkpoint.safetensors") as new:
            new.write_bytes(save(tensors, {"progress": described}))

    def load_checkpoint(self, network: Representation, optimizer: Adam) -> Progress:
        """Set network and optimizer to the checkpoint and return its progress; none if there is no checkpoint.

        Raises InputError if the file is damaged or no checkpoint.
        """
        path = self.path / "checkpoint.safetensors"
        if not path.exists():
            return Progress()
        metadata, tensors = read_safetensors(path)
        if "progress" not in metadata:
            raise InputError(f"file = {str(path)!r} is not the checkpoint of a training run")
        index = {name: number for number, (name, _) in enumerate(network.named_parameters())}
        weights: dict[str, Tensor] = {}
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            if part == "network":
                weights[name] = tensor
            else:
                kind, name = name.split(".", 1)
                moments.setdefault(index[name], {})[kind] = tensor
        network.load_state_dict(weights)
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        values = json.loads(metadata["progress"])
        return Progress(
            step=values["step"],
            scores=[Score(*score) for score in values["scores"]],
            epochs=[Epoch(**epoch) for epoch in values["epochs"]],
        )
