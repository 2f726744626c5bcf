"""manifest.json: what a bundle is, how its agents decide, and what they were trained on.

Format 1. Everything about training may be absent (the baseline learned nothing); what is there is
checked, and a key that is not listed here is refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec

from gm.errors import ConfigError
from gm.models.drift import Guard, TrainingSlice, guard_faults, slice_faults

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
ACTIONS = ("long", "neutral", "short")
TAILS = ("f32", "bf16")  # places are the core's numbers
TACTICAL_AGENTS = ("fvg", "momentum", "entry")
# SPEC §5: no synergy, then types 1 to 4; one column an agent.
TACTICAL_WEIGHTS = (
    (1 / 3, 1 / 3, 1 / 3),
    (0.5, 0.3, 0.2),
    (0.4, 0.4, 0.2),
    (0.3, 0.5, 0.2),
    (0.35, 0.35, 0.3),
)
TACTICAL_THRESHOLD = 0.65
GOLDEN_VECTORS = 16
ROWS, TACTICAL_ROWS = 48, 60
CONTEXT = 6
LAST_COLUMN, TACTICAL_LAST_COLUMN = 12, 6
_MINUTE_NS = 60 * 10**9
_NEVER_NS = 2**63 - 1
_SUM_TOLERANCE = 1e-6

Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,14}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}\.onnx$")]
DocumentName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,79}\.[a-z0-9]{1,16}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Stamp = Annotated[int, msgspec.Meta(ge=0, le=_NEVER_NS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Temperature = Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]
# From 13 on: what user kernels add.
Column = Annotated[int, msgspec.Meta(ge=0, le=15)]
Logits = Annotated[list[float], msgspec.Meta(min_length=3, max_length=4096)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part. Subclasses repeat frozen and kw_only: mypy and msgspec need it."""


class Agent(_Part, frozen=True, kw_only=True):
    """One network and its part in the ensemble (SPEC §5)."""

    name: Name
    file: FileName
    sha256: Hash
    columns: Annotated[tuple[Column, ...], msgspec.Meta(min_length=1, max_length=16)]
    context: Literal[0, 6]
    weight: Annotated[float, msgspec.Meta(ge=-100, le=100)]
    temperature: Temperature

    @property
    def inputs(self) -> int:
        """Width of the network's input: 48 rows of its columns, then the context."""
        return ROWS * len(self.columns) + self.context


class TacticalAgent(_Part, frozen=True, kw_only=True):
    """One network on the 60x7 matrix of 5-minute bars."""

    name: Literal["fvg", "momentum", "entry"]
    file: FileName
    sha256: Hash
    columns: Annotated[tuple[Column, ...], msgspec.Meta(min_length=1, max_length=7)]
    temperature: Temperature

    @property
    def inputs(self) -> int:
        """Width of the network's input: 60 rows of its columns, no context."""
        return TACTICAL_ROWS * len(self.columns)


class Tactical(_Part, frozen=True, kw_only=True):
    """The three tactical agents, and how their votes are counted.

    ``weights``: one row a synergy type, none first, then 1 to 4; one column an agent.
    """

    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)]
    weights: Annotated[
        tuple[tuple[Share, Share, Share], ...], msgspec.Meta(min_length=5, max_length=5)
    ]
    agents: Annotated[tuple[TacticalAgent, ...], msgspec.Meta(min_length=3, max_length=3)]


class Golden(_Part, frozen=True, kw_only=True):
    """Seed of the 16 golden inputs, and by agent the logits that were found for them."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    logits: dict[
        str,
        Annotated[list[Logits], msgspec.Meta(min_length=GOLDEN_VECTORS, max_length=GOLDEN_VECTORS)],
    ]


class DataFile(_Part, frozen=True, kw_only=True):
    """A file of bars that training read."""

    name: Text
    sha256: Hash
    instrument: Text
    bars: Count


class TimeRange(_Part, frozen=True, kw_only=True):
    """From ``start_ts_ns`` up to and not including ``end_ts_ns``."""

    start_ts_ns: Stamp
    end_ts_ns: Stamp


class Split(_Part, frozen=True, kw_only=True):
    """What of a file was learned from, chosen by and measured on; what was left out between."""

    train: TimeRange
    validation: TimeRange
    test: TimeRange
    bar_minutes: Literal[5, 30]
    purge_bars: Count
    embargo_bars: Count


class Normaliser(_Part, frozen=True, kw_only=True):
    """(x - mean) / scale, which the networks hold folded into their weights: for people to see."""

    columns: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=64)]
    mean: tuple[Finite, ...]
    scale: tuple[Annotated[float, msgspec.Meta(gt=0, le=1e300)], ...]


class Calibration(_Part, frozen=True, kw_only=True):
    """How the temperatures were found, and by agent what they did to the log loss, in nats."""

    method: Text
    samples: Count
    log_loss_before: dict[str, Finite]
    log_loss_after: dict[str, Finite]


class Training(_Part, frozen=True, kw_only=True):
    """Where a bundle comes from.

    ``created_ts_ns``: 0 where the bundle is a function of data and settings alone, so that a
    second run gives the same bytes. ``splits``: one a file of ``data``.
    """

    created_ts_ns: Stamp
    code_version: Text
    seed: Count
    data: Annotated[tuple[DataFile, ...], msgspec.Meta(min_length=1, max_length=256)]
    splits: Annotated[tuple[Split, ...], msgspec.Meta(min_length=1, max_length=256)]
    metrics: dict[str, Finite]
    configuration: dict[str, Any]
    parameters_sha256: Hash | None = None
    normaliser: Normaliser | None = None
    calibration: Calibration | None = None
    guard: Guard | None = None
    training_slice: TrainingSlice | None = None


class Manifest(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """The contents of manifest.json."""

    format: Literal[1]
    name: Name
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    created_by: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    feature_schema_sha256: Hash
    actions: tuple[Literal["long"], Literal["neutral"], Literal["short"]]
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)]
    # Large matrices of every network after its first layer: as in its file, or in bfloat16.
    tail: Literal["f32", "bf16"] = "f32"
    # Of the feature kernels whose columns agents look at, in their order from column 13 on.
    kernels: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=3)] = ()
    agents: Annotated[tuple[Agent, ...], msgspec.Meta(min_length=1, max_length=3)]
    tactical: Tactical | None = None
    golden: Golden
    training: Training | None = None
    # What else lies in the folder, such as its out-of-sample report, by name.
    documents: dict[DocumentName, Hash] = {}

    @property
    def networks(self) -> tuple[Agent | TacticalAgent, ...]:
        """Every agent in the order of the bundle's ONNX files: strategic, then tactical."""
        return self.agents + (self.tactical.agents if self.tactical is not None else ())

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of everything in the folder but manifest and signature, by name."""
        return {agent.file: agent.sha256 for agent in self.networks} | self.documents


def parse_manifest(raw: bytes) -> Manifest:
    """Read a manifest that has no fault.

    Parameters
    ----------
    raw : bytes
        The file.

    Returns
    -------
    Manifest
        Checked, its feature schema excepted.

    Raises
    ------
    ConfigError
        With the first fault.
    """
    manifest, faults = read_manifest(raw)
    if manifest is None or faults:
        raise ConfigError(faults[0])
    return manifest


def read_manifest(raw: bytes) -> tuple[Manifest | None, list[str]]:
    """Read a manifest and name every fault.

    Parameters
    ----------
    raw : bytes
        The file.

    Returns
    -------
    tuple
        The manifest, None if its keys or values do not let one be made; and its faults.
    """
    try:
        tree = json.loads(raw, object_pairs_hook=_refuse_doubles)
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.ValidationError as error:
        return None, _shape_faults(tree, Manifest, "") or [str(error)]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return None, [str(error)]
    return manifest, list(contradictions(manifest))


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Name what no single key shows: one text a fault."""
    names = [agent.name for agent in manifest.networks]
    if len(set(names)) != len(names) or set(names) != set(manifest.golden.logits):
        yield f"agents {names}, golden logits {sorted(manifest.golden.logits)}"
    files = [agent.file for agent in manifest.networks]
    if len(set(files)) != len(files):
        yield f"agents share a file: {files}"
    for agent in manifest.agents:
        yield from _column_faults(agent, LAST_COLUMN, len(manifest.kernels))
    if manifest.tactical is not None:
        yield from _tactical_faults(manifest.tactical)
    for name in manifest.documents:
        if name in (MANIFEST, SIGNATURE) or name.endswith(".onnx"):
            yield f"documents: {name} is no document"
    if manifest.training is not None:
        strategic = {agent.name for agent in manifest.agents}
        yield from _training_faults(manifest.training, strategic, set(names))


def _column_faults(agent: Agent | TacticalAgent, last: int, kernels: int) -> Iterator[str]:
    if list(agent.columns) != sorted(set(agent.columns)):
        yield f"columns of {agent.name} must ascend: {agent.columns}"
    if max(agent.columns) > last + kernels:
        behind = f", and kernels names {kernels} behind it" if isinstance(agent, Agent) else ""
        yield f"column {max(agent.columns)} of {agent.name}: the last is {last}{behind}"


def _tactical_faults(tactical: Tactical) -> Iterator[str]:
    names = tuple(agent.name for agent in tactical.agents)
    if names != TACTICAL_AGENTS:
        yield f"tactical.agents must be {TACTICAL_AGENTS} in this order: {names}"
    for agent in tactical.agents:
        yield from _column_faults(agent, TACTICAL_LAST_COLUMN, 0)
    for synergy, row in enumerate(tactical.weights):
        if not abs(sum(row) - 1.0) <= _SUM_TOLERANCE:
            yield f"tactical.weights[{synergy}] must add up to 1: {row}"


def _training_faults(training: Training, strategic: set[str], names: set[str]) -> Iterator[str]:
    if len(training.splits) != len(training.data):
        yield f"training.splits: {len(training.splits)} for {len(training.data)} files of data"
    for i, split in enumerate(training.splits):
        yield from _split_faults(f"training.splits[{i}]", split)
    yield from _statistics_faults(training, strategic, names)
    if training.guard is not None:
        yield from (f"training.guard.{fault}" for fault in guard_faults(training.guard))
    if training.training_slice is not None:
        slice_ = training.training_slice
        yield from (f"training.training_slice.{fault}" for fault in slice_faults(slice_))


def _split_faults(at: str, split: Split) -> Iterator[str]:
    ranges = {"train": split.train, "validation": split.validation, "test": split.test}
    for name, part in ranges.items():
        if part.end_ts_ns <= part.start_ts_ns:
            yield f"{at}.{name}: end_ts_ns {part.end_ts_ns} is not after its start"
    gap_ns = (split.purge_bars + split.embargo_bars) * split.bar_minutes * _MINUTE_NS
    for before, after in (("train", "validation"), ("validation", "test")):
        found_ns = ranges[after].start_ts_ns - ranges[before].end_ts_ns
        if found_ns < gap_ns:
            yield (
                f"{at}: {found_ns} ns between {before} and {after}, purge and embargo "
                f"of {split.purge_bars} + {split.embargo_bars} bars want {gap_ns}"
            )


def _statistics_faults(training: Training, strategic: set[str], names: set[str]) -> Iterator[str]:
    """Calibrated are the strategic agents; the tactical ones may be."""
    normaliser, calibration = training.normaliser, training.calibration
    if normaliser is not None:
        sizes = [len(normaliser.columns), len(normaliser.mean), len(normaliser.scale)]
        if len(set(sizes)) != 1:
            yield f"training.normaliser: columns, mean and scale of {sizes} values"
    if calibration is not None:
        for key in ("log_loss_before", "log_loss_after"):
            found = set(getattr(calibration, key))
            if found not in (strategic, names):
                either = " or ".join(map(str, (sorted(strategic), sorted(names))))
                yield f"training.calibration.{key}: agents {sorted(found)}, must be {either}"


def _refuse_doubles(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key is written twice among {keys[:20]}")
    return dict(pairs)


def _shape_faults(tree: object, kind: type[msgspec.Struct], at: str) -> list[str]:
    """Every missing, unknown and impossible key; msgspec itself stops at the first."""
    if not isinstance(tree, dict):
        return [f"{at or 'top level'}: expected an object, got a {type(tree).__name__}"]
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    where = f"{at}." if at else ""
    faults = [f"{where}{key}: unknown field" for key in sorted(tree.keys() - fields.keys())]
    for key, field in fields.items():
        if key in tree:
            faults += _value_faults(tree[key], field.type, f"{where}{key}")
        elif field.required:
            faults.append(f"{where}{key}: missing")
    return faults


def _value_faults(value: object, kind: Any, at: str) -> list[str]:  # noqa: ANN401
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        part = _part_of(kind)
        deeper: list[str] = []
        if part is not None and isinstance(value, dict):
            deeper = _shape_faults(value, part, at)
        elif part is not None and isinstance(value, list):
            for i, item in enumerate(value):
                deeper += _shape_faults(item, part, f"{at}[{i}]")
        return deeper or [f"{at}: {error}"]
    return []


def _part_of(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401
    """The struct within Annotated, tuple or a union with None. As deep as the type is written."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next(filter(None, map(_part_of, get_args(kind))), None)
