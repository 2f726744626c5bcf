"""A decision made again by the core, held against the journal, and what its networks had to do.

The core replays the journal up to the decision and gives matrix, context and logits as its own
engine had them; here nothing of that is computed, only compared.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gm._native import explain as native
from gm.config.run_dir import RunManifest
from gm.errors import DataGap, ReplayDiverged
from gm.explain.attribution import (
    Attribution,
    Observation,
    Voter,
    attribute,
    logits_of,
)
from gm.explain.facts import AgentFacts, DecisionFacts, ModelFacts
from gm.explain.network import Floats, load_network
from gm.explain.trail import Trail, kind_of, payload, sequence_of
from gm.layout import MODEL_HEADER, Action, ModelStage, RecordType

if TYPE_CHECKING:
    from gm._native.explain import Rebuilt

MODELS_FOLDER = "models"


def rebuild(trail: Trail, decision: np.void) -> "Rebuilt":
    """Make a decision again and compare it, field by field, with the journal's.

    Parameters
    ----------
    trail : Trail
        Of the run.
    decision : record of layout.SLOT
        DECISION or SHADOW_DECISION.

    Returns
    -------
    dict
        As ``gm._native.explain.rebuild_decision``; the decision is equal, bit for bit, and so is
        every record before it.

    Raises
    ------
    DataGap
        If a model that the engine took up to there is gone, or its file holds another.
    ReplayDiverged
        If the decision, or a record before it, comes out otherwise: names it and what differs.
    """
    check_models(trail, decision)
    at = sequence_of(decision)
    try:
        found = native.rebuild_decision(str(trail.run_dir), at)
    except ReplayDiverged as error:
        raise ReplayDiverged(f"the run cannot be made again up to record {at}: {error}") from error
    _compare(at, found["journalled"][0], found["made"][0])
    if len(found["agent_rows"]) > 0:
        values = payload(found["journalled"][0])
        for name in ("agent_probability", "probability", "action", "acts", "agents"):
            journalled = np.asarray(values[name])
            if journalled.tobytes() != np.asarray(found[name], journalled.dtype).tobytes():
                raise ReplayDiverged(
                    f"record {at}: {name} is {journalled.tolist()} in the journal, and "
                    f"{found[name]} when the ensemble is asked once more"
                )
    return found


def check_models(trail: Trail, decision: np.void) -> None:
    """See that every model which came before a decision is still there.

    Raises
    ------
    DataGap
        Names number, SHA-256 and where it was looked for, and whether it decided.
    """
    number = int(payload(decision)["model"])
    for slot in trail.of(RecordType.MODEL_UPDATE):
        update = payload(slot)
        if sequence_of(slot) > sequence_of(decision):
            return
        if int(update["stage"]) != ModelStage.SHADOW:
            continue
        digest = bytes(update["sha256"]).hex()
        path = trail.run_dir / MODELS_FOLDER / f"{digest}.bin"
        part = "which decided" if int(update["model"]) == number else "which came before it"
        what = f"model {int(update['model'])}, {part} (sha256 {digest}): {path}"
        _check_file(path, digest, what)


def _check_file(path: Path, digest: str, what: str) -> None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataGap(
            f"{what}: {error.strerror}; without it the run cannot be made again"
        ) from error
    if len(raw) < MODEL_HEADER.itemsize:
        raise DataGap(f"{what}: holds {len(raw)} bytes, a model has at least 256")
    header = np.frombuffer(raw, MODEL_HEADER, 1)[0]
    if (held := bytes(header["bundle_sha256"]).hex()) != digest:
        raise DataGap(f"{what}: holds another bundle, {held}")


def _compare(at: int, journalled: np.void, made: np.void) -> None:
    """Name the first field in which two records of one type differ."""
    pairs = [(journalled["header"], made["header"]), (payload(journalled), payload(made))]
    for left, right in pairs:
        for name in left.dtype.names or ():
            wanted, found = np.asarray(left[name]), np.asarray(right[name])
            if wanted.tobytes() != found.tobytes():
                raise ReplayDiverged(
                    f"record {at}, {kind_of(journalled).name.lower()}: {name} is "
                    f"{wanted.tolist()} in the journal, {found.tolist()} when made again"
                )


def decision_facts(decision: np.void, found: "Rebuilt") -> DecisionFacts:
    """Say what was decided."""
    values = payload(decision)
    has_agents = len(found["agent_rows"]) > 0
    return DecisionFacts(
        journal_sequence=sequence_of(decision),
        bar_start_ts_ns=int(values["bar_start_ts_ns"]),
        action=Action(values["action"]).name.lower(),
        acts=bool(values["acts"]),
        is_shadow=kind_of(decision) == RecordType.SHADOW_DECISION,
        probability=tuple(float(share) for share in values["probability"]),
        confidence=found["confidence"] if has_agents else 1.0,
        uncertainty=found["uncertainty"],
        threshold=found["threshold"],
        size_lots=found["size_lots"],
    )


def model_facts(decision: np.void, found: "Rebuilt", manifest: RunManifest) -> ModelFacts:
    """Say which model decided."""
    number = int(payload(decision)["model"])
    name = manifest.bundle if number == 0 else f"{MODELS_FOLDER}/{found['model_sha256']}.bin"
    return ModelFacts(number=number, sha256=found["model_sha256"], name=name)


def observation_of(found: "Rebuilt") -> Observation:
    """Put matrix and kernels' columns side by side, in float64."""
    return Observation(
        matrix=np.hstack([found["matrix"], found["kernels"]]).astype(np.float64),
        context=found["context"].astype(np.float64),
    )


def ask_agents(found: "Rebuilt", steps: int) -> tuple[tuple[AgentFacts, ...], Attribution | None]:
    """Split the probability of the action by agent, and by input; None: no agent took part.

    Parameters
    ----------
    found : dict
        A decision of networks.
    steps : int
        Of the integration, to begin with.
    """
    action, seen = found["action"], observation_of(found)
    facts, voters = [], []
    for i, row in enumerate(found["agent_rows"]):
        mask = int(row["column_mask"])
        voter = Voter(
            network=load_network(found["onnx"][i]),
            columns=tuple(column for column in range(16) if mask >> column & 1),
            has_context=int(row["context_count"]) > 0,
            temperature=float(row["temperature"]),
            share=float(found["shares"][i]),
        )
        has_voted = bool(found["agents"] >> i & 1)
        logits = found["logits"][i]
        p = _softmax(logits.astype(np.float64), voter.temperature) if has_voted else np.zeros(3)
        facts.append(
            AgentFacts(
                name=row["name"].decode(),
                has_voted=has_voted,
                weight=float(row["weight"]),
                share=voter.share,
                temperature=voter.temperature,
                logits=tuple(logits.tolist()),
                probability=tuple(p.tolist()),
                contribution=voter.share * float(p[action]),
                logits_error=float(np.abs(logits_of(voter, seen) - logits).max()),
            )
        )
        if has_voted:
            voters.append(voter)
    parts = attribute(tuple(voters), seen, action, steps) if voters else None
    return tuple(facts), parts


def total_probability(found: "Rebuilt") -> float:
    """P of the action that was decided: in double where the core says it, else as journalled."""
    journalled = found["probability"][found["action"]]
    is_largest = np.float32(found["confidence"]) == journalled
    return found["confidence"] if is_largest else float(journalled)


def _softmax(logits: Floats, temperature: float) -> Floats:
    weights = np.exp((logits - logits.max()) / temperature)
    shares: Floats = weights / weights.sum()
    return shares
