"""Trained actors become a bundle: ONNX files that the core runs, calibrated, with golden vectors.

Training pays for votes, of which two of three decide; live, probabilities are mixed and must reach
a threshold. The calibration makes the second answer as the first: each agent's temperature
minimises, over validation observations, the negative log likelihood that its softmax gives to what
the team's likeliest votes decide; the threshold is then the highest of 0.40 to 0.65 with which the
mixed decision agrees with that vote most often.
"""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from gm._native.features import feature_schema_digest
from gm.errors import BadArgument
from gm.models import Agent, Bundle, Golden, Manifest, golden_check, write_bundle
from gm.models.baseline_bundle import dense_onnx
from gm.models.bundle import CONTEXT, ROWS
from gm.models.golden import native_logits
from gm.models.manifest import (
    TACTICAL_THRESHOLD,
    TACTICAL_WEIGHTS,
    Tactical,
    TacticalAgent,
    Training,
)
from gm.training.mappo import Trainer
from gm.training.market import Market
from gm.training.networks import ACTIONS, STRATEGIC, TACTICAL, agent_input

OPSET = 18
_GOLDEN_SEED = 1
_EXAMPLES = 2  # a batch of 1 would be taken for a constant
_TEMPERATURE = (0.05, 20.0)
_THRESHOLDS = tuple(percent / 100 for percent in range(40, 66))
_NEUTRAL = 1
_SEARCH_STEPS = 80

Floats = NDArray[np.float64]
Logits = NDArray[np.float32]
Actions = NDArray[np.int64]


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turns logits into a decision that agrees with the votes that were trained."""

    temperatures: tuple[float, ...]  # one an agent
    threshold: float
    negative_log_likelihood_before: tuple[float, ...]  # nats an observation, one an agent
    negative_log_likelihood: tuple[float, ...]  # after the fit
    agreement: float  # share of validation observations where mix and vote decide alike
    observations: int


def actor_onnx(trainer: Trainer, agent: int) -> bytes:
    """Write one actor as an ONNX file.

    Parameters
    ----------
    trainer : Trainer
        Holds the actor.
    agent : int
        Its place in the team.

    Returns
    -------
    bytes
        Input ``observation`` (batch, ...), output ``logits`` (batch, 3); no external data, no
        paths, no source lines. Equal weights give equal bytes.

    Source
    ------
    SPEC §5, Export.
    """
    import onnx

    team, plan = trainer.team, trainer.team.agents[agent]
    zeros = (torch.zeros(_EXAMPLES, team.rows, team.columns), torch.zeros(_EXAMPLES, team.context))
    network = trainer.actors[plan.name]
    device = next(network.parameters()).device
    written = io.BytesIO()
    with warnings.catch_warnings(), _quiet_exporter():
        # The exporter warns of its own parts; what it wrote is checked below and by golden_check.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.cpu().eval(),
            (agent_input(team, plan, *zeros),),
            input_names=["observation"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    network.to(device)
    program.save(written, external_data=False)
    model = onnx.load_from_string(written.getvalue())
    _forget_origin(model)
    onnx.checker.check_model(model)
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw


def calibrate(logits: Logits) -> Calibration:
    """Fit temperatures and threshold.

    Parameters
    ----------
    logits : ndarray of float32, shape (n, agents, 3)
        Of validation observations.

    Returns
    -------
    Calibration

    Raises
    ------
    BadArgument
        If there is no observation.

    Source
    ------
    Guo et al., "On Calibration of Modern Neural Networks", 2017, §4.2 (temperature scaling); what
    it is fitted to, and the threshold: ours.
    """
    if len(logits) == 0:
        raise BadArgument("validation holds 0 observations, must be at least 1")
    scores = logits.astype(np.float64)
    wanted = majority(np.argmax(scores, 2))
    fits = [_fit(scores[:, i], wanted) for i in range(scores.shape[1])]
    temperatures = tuple(temperature for temperature, _ in fits)
    mixed = np.mean([_softmax(scores[:, i] / t) for i, t in enumerate(temperatures)], axis=0)
    agreements = [float((_decide(mixed, each) == wanted).mean()) for each in _THRESHOLDS]
    agreement, threshold = max(zip(agreements, _THRESHOLDS, strict=True))
    return Calibration(
        temperatures=temperatures,
        threshold=threshold,
        negative_log_likelihood_before=tuple(
            _loss(scores[:, i], wanted, 1.0) for i in range(scores.shape[1])
        ),
        negative_log_likelihood=tuple(loss for _, loss in fits),
        agreement=agreement,
        observations=len(logits),
    )


def majority(actions: Actions) -> Actions:
    """What votes, (n, agents), decide: the direction of more than half of them, else neutral."""
    agents = actions.shape[1]
    counts = np.stack([(actions == action).sum(1) for action in range(ACTIONS)], 1)
    best = counts.argmax(1)
    return np.where(2 * counts.max(1) > agents, best, _NEUTRAL).astype(np.int64)


def validation_logits(trainer: Trainer, market: Market, seed: int, steps: int) -> Logits:
    """Play a market with the likeliest actions, give the logits of all it showed.

    Parameters
    ----------
    trainer : Trainer
        Holds the actors.
    market : Market
        Over validation tapes; any size.
    seed : int
        Of its episodes.
    steps : int
        Decisions a market.

    Returns
    -------
    ndarray of float32, shape (steps x size, agents, 3)
    """
    observation: Any = market.reset(seed)
    found = []
    for _ in range(steps):
        found.append(trainer.logits(observation))
        observation = market.step(np.argmax(found[-1], 2).astype(np.int64)).observation
    return np.concatenate(found)


def export_bundle(
    trainer: Trainer,
    calibration: Calibration,
    folder: Path,
    *,
    name: str,
    label: str,
    tactical: Trainer | None = None,
) -> Bundle:
    """Write the strategic actors as a bundle, and hold it against onnxruntime.

    Parameters
    ----------
    trainer : Trainer
        Of the strategic team.
    calibration : Calibration
        Fitted to its logits.
    folder : path
        Created if missing.
    name, label : str
        Of the manifest.
    tactical : Trainer, optional
        Of the tactical team, whose actors go with them: for profile two_level. Temperature 1,
        weights and threshold of SPEC §5: a payload holds nothing to fit them to.

    Returns
    -------
    Bundle
        As read back; its golden vectors agree between core, onnxruntime and manifest.

    Raises
    ------
    BadArgument
        If the team is another.
    ConfigError
        If core and onnxruntime disagree.

    Source
    ------
    Ours; SPEC §5.
    """
    onnx = _actors(trainer, "strategic")
    temperatures = dict(zip(onnx, calibration.temperatures, strict=True))
    timing = {} if tactical is None else _actors(tactical, "tactical")
    bundle = _write(folder, onnx | timing, temperatures, calibration.threshold, name, label)
    golden_check(bundle)
    return bundle


def complete_bundle(
    bundle: Bundle, training: Training, documents: Mapping[str, bytes] = MappingProxyType({})
) -> Bundle:
    """Write a bundle again, with where it comes from and what belongs to it.

    Parameters
    ----------
    bundle : Bundle
        Of ``export_bundle``; its networks stay as they are.
    training : Training
    documents : mapping of str to bytes
        By name.

    Returns
    -------
    Bundle
        As read back.

    Raises
    ------
    ConfigError
        If the training part contradicts itself.
    """
    manifest = msgspec.structs.replace(
        bundle.manifest,
        training=training,
        documents={name: sha256(raw).hexdigest() for name, raw in documents.items()},
    )
    return write_bundle(bundle.path, manifest, bundle.onnx, documents)


def _actors(trainer: Trainer, wanted: str) -> dict[str, bytes]:
    team = trainer.team
    if team.name != wanted:
        raise BadArgument(f"team {team.name}: the bundle wants the {wanted} team here")
    return {plan.name: actor_onnx(trainer, i) for i, plan in enumerate(team.agents)}


def write_vote_bundle(folder: Path) -> Bundle:
    """Write the bundle that a training market takes names, weights and threshold from.

    Parameters
    ----------
    folder : path
        Created if missing.

    Returns
    -------
    Bundle
        Equal weights, threshold 0.65: two of three votes act. Its networks answer 0; nobody asks.
    """
    onnx = {}
    for plan in STRATEGIC.agents:
        width = ROWS * len(plan.columns) + CONTEXT
        layer = (np.zeros((width, ACTIONS), np.float32), np.zeros(ACTIONS, np.float32))
        onnx[plan.name] = dense_onnx(plan.name, [layer])
    return _write(folder, onnx, dict.fromkeys(onnx, 1.0), _THRESHOLDS[-1], "votes", "votes")


def _write(
    folder: Path,
    onnx: Mapping[str, bytes],
    temperatures: Mapping[str, float],
    threshold: float,
    name: str,
    label: str,
) -> Bundle:
    manifest = Manifest(
        format=1,
        name=name,
        label=label,
        created_by="gm train",
        feature_schema_sha256=feature_schema_digest().hex(),
        actions=("long", "neutral", "short"),
        threshold=threshold,
        agents=tuple(
            Agent(
                name=plan.name,
                file=f"{plan.name}.onnx",
                sha256=sha256(onnx[plan.name]).hexdigest(),
                columns=plan.columns,
                context=6,
                weight=0.0,  # votes count alike in training
                temperature=temperatures[plan.name],
            )
            for plan in STRATEGIC.agents
        ),
        tactical=_tactical(onnx),
        golden=Golden(
            seed=_GOLDEN_SEED,
            logits={
                key: [[float(x) for x in row] for row in native_logits(_GOLDEN_SEED, key, file)]
                for key, file in onnx.items()
            },
        ),
    )
    return write_bundle(folder, manifest, list(onnx.values()))


def _tactical(onnx: Mapping[str, bytes]) -> Tactical | None:
    if TACTICAL.agents[0].name not in onnx:
        return None
    return Tactical(
        threshold=TACTICAL_THRESHOLD,
        weights=TACTICAL_WEIGHTS,
        agents=tuple(
            TacticalAgent(
                name=plan.name,  # type: ignore[arg-type]
                file=f"{plan.name}.onnx",
                sha256=sha256(onnx[plan.name]).hexdigest(),
                columns=plan.columns,
                temperature=1.0,
            )
            for plan in TACTICAL.agents
        ),
    )


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter from saying once an actor that torchvision is not here."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _forget_origin(model: Any) -> None:  # noqa: ANN401
    """Drop stack traces, file names and versions that the exporter wrote beside the graph."""
    graph = model.graph
    model.producer_name, model.producer_version, model.doc_string = "grandmodel", "", ""
    graph.name, graph.doc_string = "actor", ""
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
    del graph.value_info[:]


def _fit(logits: Floats, wanted: Actions) -> tuple[float, float]:
    # Convex in 1 / temperature: golden section finds the one minimum.
    low, high = 1.0 / _TEMPERATURE[1], 1.0 / _TEMPERATURE[0]
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(_SEARCH_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _loss(logits, wanted, left) <= _loss(logits, wanted, right):
            high = right
        else:
            low = left
    inverse = (low + high) / 2.0
    return 1.0 / inverse, _loss(logits, wanted, inverse)


def _loss(logits: Floats, wanted: Actions, inverse: float) -> float:
    scaled = logits * inverse
    top = scaled.max(1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(1))
    return float((total - scaled[np.arange(len(scaled)), wanted]).mean())


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _decide(mixed: Floats, threshold: float) -> Actions:
    return np.where(mixed.max(1) >= threshold, mixed.argmax(1), _NEUTRAL).astype(np.int64)
