"""A training run on disk: one safetensors file, in whose header JSON stands. No pickle.

It holds parameters, both optimisers, the value normaliser, the random state and the update's
number: a run that goes on from it gives the bits of one that never stopped.
"""

import json
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gm.config.run_dir import write_whole
from gm.errors import ConfigError
from gm.training.mappo import Trainer
from gm.training.settings import MappoSettings

_FORMAT = "gm-checkpoint-1"


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write all state of a trainer; a crash leaves the old file or the new one.

    Parameters
    ----------
    trainer : Trainer
        At a cut (``at_cut``): the markets' own state is not kept.
    path : Path
        The file; its folder exists.

    Raises
    ------
    ValueError
        If the trainer is between cuts.
    """
    if not trainer.at_cut:
        raise ValueError(
            f"update {trainer.update_number} is no multiple of cut_every "
            f"{trainer.settings.cut_every}: the episodes under way would be lost"
        )
    header = {
        "format": _FORMAT,
        "update": str(trainer.update_number),
        "team": trainer.team.name,
        "settings": msgspec.json.encode(trainer.settings, order="sorted").decode(),
    }
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in _tensors(trainer).items()}
    write_whole(path, save(tensors, {"gm": json.dumps(header, sort_keys=True)}))


def read_checkpoint(trainer: Trainer, path: Path) -> None:
    """Put a trainer where the one that wrote the file stood.

    Parameters
    ----------
    trainer : Trainer
        New, of the same settings.
    path : Path
        What ``write_checkpoint`` left.

    Raises
    ------
    ConfigError
        If the file is missing, damaged, of other settings, or another network's.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("gm", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigError(f"{path}: no checkpoint: {error}") from error
    _check_header(trainer, path, header)
    expected = _tensors(trainer)
    networks = {key for key in expected if not key.startswith("optimiser.")}
    for key in sorted(networks):
        found = tensors.get(key)
        if found is None or found.shape != expected[key].shape:
            shape = None if found is None else tuple(found.shape)
            raise ConfigError(f"{path}: {key}: {shape}, must be {tuple(expected[key].shape)}")
    with torch.no_grad():
        for key in networks - {"random"}:
            expected[key].copy_(tensors[key])
    trainer.generator.set_state(tensors["random"])
    for name, optimiser in trainer.optimisers.items():
        state: dict[int, dict[str, torch.Tensor]] = {}
        prefix = f"optimiser.{name}."
        for key in sorted(key for key in tensors if key.startswith(prefix)):
            number, part = key.removeprefix(prefix).split(".")
            state.setdefault(int(number), {})[part] = tensors[key]
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
    trainer.update_number = int(header["update"])


def _check_header(trainer: Trainer, path: Path, header: dict[str, str]) -> None:
    if header.get("format") != _FORMAT:
        raise ConfigError(f"{path}: format {header.get('format')!r}, must be {_FORMAT!r}")
    if header["team"] != trainer.team.name:
        raise ConfigError(f"{path}: team {header['team']}, must be {trainer.team.name}")
    found = msgspec.json.decode(header["settings"], type=MappoSettings)
    for name in MappoSettings.__struct_fields__:
        wrote, wants = getattr(found, name), getattr(trainer.settings, name)
        if wrote != wants:
            raise ConfigError(f"{path}: {name} was {wrote}, this run says {wants}")


def _tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    found = {f"actors.{key}": each for key, each in trainer.actors.state_dict().items()}
    found |= {f"critics.{key}": each for key, each in trainer.critics.state_dict().items()}
    found["value_sums"] = trainer.normaliser.sums
    found["random"] = trainer.generator.get_state()
    for name, optimiser in trainer.optimisers.items():
        for number, state in optimiser.state_dict()["state"].items():
            for part, tensor in state.items():
                found[f"optimiser.{name}.{number}.{part}"] = tensor
    return found
