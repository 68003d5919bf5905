"""Plans as folders: ``config.json`` and ``tensors.safetensors``, nothing pickled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mechviz.errors import InputError, MechvizError, shown
from mechviz.files import replacing
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.plan import Plan

FORMAT = 1
CONFIG, TENSORS = "config.json", "tensors.safetensors"
#: What a plan is made of besides its interventions.
_SETTINGS = ("mode", "stack", "direction", "filler", "truncate", "aligned", "seed")


def config_of(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data, for JSON.

    Raises
    ------
    InputError
        An op or a filler that is a function.
    """
    from mechviz import __version__

    if plan.filler is not None and not isinstance(plan.filler, str):
        raise InputError(f"filler={shown(plan.filler)} is a function, which cannot be saved; give a word")
    return {
        "format": FORMAT,
        "mechviz": __version__,
        **{name: getattr(plan, name) for name in _SETTINGS},
        "interventions": [one.to_dict() for one in plan.interventions],
        "ranker": {name: value for name, value in plan.met.items() if name != "settled"},
    }


def tensors_of(plan: Plan) -> dict[str, NDArray[np.float32]]:
    """Return all arrays of a plan by name: those given, and those learned."""
    found = {f"{at}.{name}": array for at, one in enumerate(plan.interventions) for name, array in one.tensors().items()}
    learned = {name for name, one in zip(plan.names(), plan.interventions, strict=True) if one.trained}
    for name in sorted(learned & set(plan.coordinates)):
        for key, value in plan.coordinates[name].state_dict().items():
            found[f"learned.{name}.{key}"] = value.detach().cpu().numpy()
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def save(plan: Plan, folder: str | os.PathLike[str]) -> None:
    """Write a plan; see `Plan.save`."""
    config, tensors = config_of(plan), tensors_of(plan)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with replacing(target / TENSORS) as part:
        save_file(tensors, part)
    with replacing(target / CONFIG) as part:
        part.write_text(json.dumps(config, indent=1, ensure_ascii=True) + "\n", encoding="ascii")


def load(folder: str | os.PathLike[str]) -> Plan:
    """Read a plan; see `Plan.load`."""
    source = Path(folder)
    if not (source / CONFIG).exists():
        raise FileNotFoundError(f"{source} holds no plan: there is no {CONFIG} in it")
    try:
        config = json.loads((source / CONFIG).read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise MechvizError(f"{source} has format {config['format']}, this mechviz reads {FORMAT}; update mechviz")
        tensors = load_file(source / TENSORS)
        interventions = [Intervention.from_dict(one, _under(tensors, f"{at}.")) for at, one in enumerate(config["interventions"])]
        plan = Plan(interventions, **{name: config[name] for name in _SETTINGS})
        plan.met = _met(config["ranker"], len(interventions))
        for number, (name, one) in enumerate(zip(plan.names(), interventions, strict=True)):
            learned = _under(tensors, f"learned.{name}.")
            if one.subspace is None or not learned:
                continue
            width = plan.met["widths"][number]
            if all(len(array) != width for array in learned.values() if array.ndim):
                raise InputError(f"{source}: what {name!r} learned is not of {width} features, as its config says; save it again")
            coordinates = one.subspace.build(width)
            coordinates.load_state_dict({key: torch.tensor(array) for key, array in learned.items()})
            plan.coordinates[name] = coordinates
    except MechvizError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError, SafetensorError) as error:
        raise MechvizError(f"{source} is not a complete plan ({type(error).__name__}: {error}); save it again") from error
    return plan


def push(plan: Plan, repo_id: str, private: bool) -> str:
    """Upload a plan; see `Plan.push_to_hub`."""
    import tempfile

    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as scratch:
        save(plan, scratch)
        try:
            hub = HfApi()
            hub.create_repo(repo_id, private=private, exist_ok=True)
            return str(hub.upload_folder(repo_id=repo_id, folder_path=scratch, commit_message="mechviz plan"))
        except Exception as error:
            raise _unreachable("pushed to", repo_id, error) from error


def pull(repo_id: str, revision: str | None) -> Plan:
    """Download a plan; see `Plan.from_hub`."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(repo_id, revision=revision, allow_patterns=[CONFIG, TENSORS])
    except Exception as error:
        raise _unreachable("read from", repo_id, error) from error
    return load(folder)


def _met(said: Any, count: int) -> dict[str, Any]:
    """Return what a config says of the ranker that was met; empty where none was."""
    names = {"ranker": str, "kind": str, "weights_sha256": str, "widths": list}
    if said == {}:
        return {}
    if set(said) != set(names) or not all(isinstance(said[name], kind) for name, kind in names.items()):
        raise InputError(f"what is said of the ranker is {shown(said)}; it has {', '.join(names)}")
    if len(said["widths"]) != count or any(type(width) is not int or width < 0 for width in said["widths"]):
        raise InputError(f"widths={shown(said['widths'])}; there is a whole number for each of {count} interventions")
    return {**said, "settled": True}


def _under(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _unreachable(what: str, repo_id: str, error: Exception) -> MechvizError:
    return MechvizError(
        f"the plan could not be {what} {repo_id!r} ({type(error).__name__}: {error}); without a network use plan.save(folder) "
        "and Plan.load(folder)"
    )
