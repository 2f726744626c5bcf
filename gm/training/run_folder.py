"""The folder of a training run: what it was made from, how it went, what came of it.

run.json            settings, data with SHA-256, versions; written first, never changed
checkpoint.safetensors   where the run stands (gm.training.checkpoint)
metrics.jsonl       one line an update, and tensorboard/ the same for TensorBoard
results.json        calibration, evaluations and the manifest's training part, when it is over
out_of_sample.json  what the bundle earned on the test slice, beside its rivals
bundle/             the exported policy
report.html         all of it as one page
"""

import contextlib
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from gm.config.run_dir import write_whole
from gm.errors import ConfigError
from gm.training.settings import MappoSettings

RUN = "run.json"
CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
RESULTS = "results.json"
OUT_OF_SAMPLE = "out_of_sample.json"
BUNDLE = "bundle"
REPORT = "report.html"
_TENSORBOARD = "tensorboard"
_VERSIONS = ("grandmodel", "numpy", "torch")


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of bars."""

    file: str
    sha256: str
    instrument: str
    bars: int
    first_ts_ns: int
    last_ts_ns: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of run.json."""

    format: int = 1
    team: str
    settings: MappoSettings
    config: str
    config_sha256: str
    data: tuple[Data, ...]
    split: dict[str, Any] = {}
    threads: int
    is_synthetic: bool
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Versions that a run's bits depend on."""
    return {name: version(name) for name in _VERSIONS}


class RunFolder:
    """Opened to write; a context manager that closes its files."""

    def __init__(self, path: Path, record: RunRecord, *, resume: bool = False) -> None:
        """Make the folder, or go on in it.

        Parameters
        ----------
        path : path
            Created if missing.
        record : RunRecord
            Of this run.
        resume : bool
            Go on from the checkpoint that is there. Else a folder that holds a run is refused.

        Raises
        ------
        ConfigError
            If the folder holds a run and ``resume`` is False, holds none and it is True, or holds
            one of other settings, data or versions.
        """
        self.path = path
        if resume:
            _check_same(path, read_run_record(path), record)
            if not self.checkpoint.exists():
                raise ConfigError(f"{self.checkpoint}: missing; begin anew without --resume")
        elif (path / RUN).exists():
            raise ConfigError(f"{path}: holds a run already; --resume goes on with it")
        else:
            path.mkdir(parents=True, exist_ok=True)
            write_whole(path / RUN, pretty(record))
        self._metrics = (path / METRICS).open("a", encoding="utf-8")
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint."""
        return self.path / CHECKPOINT

    def drop_after(self, update: int) -> None:
        """Forget metrics of updates from ``update`` on: the run makes them again."""
        self._metrics.close()
        kept = [row for row in read_metrics(self.path) if row["update"] < update]
        text = b"".join(msgspec.json.encode(row) + b"\n" for row in kept)
        write_whole(self.path / METRICS, text)
        self._metrics = (self.path / METRICS).open("a", encoding="utf-8")
        self._close_board()
        self._board = _board(self.path / _TENSORBOARD, update)

    def write_metrics(self, update: int, steps: int, metrics: dict[str, float]) -> None:
        """Append one line, in a file that a reader may follow, and tell TensorBoard.

        Parameters
        ----------
        update : int
            Its number, from 0.
        steps : int
            Decisions made so far.
        metrics : dict of float
            Of the update.
        """
        row = {"update": update, "steps": steps, **metrics}
        self._metrics.write(msgspec.json.encode(row).decode() + "\n")
        self._metrics.flush()
        if self._board is None:
            self._board = _board(self.path / _TENSORBOARD, update)
        for name, value in metrics.items():
            self._board.add_scalar(name, value, steps)

    def write_results(self, results: dict[str, Any]) -> None:
        """Write results.json."""
        write_whole(self.path / RESULTS, pretty(results))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metrics.close()
        self._close_board()

    def _close_board(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None


def read_run_record(path: Path) -> RunRecord:
    """Read run.json.

    Raises
    ------
    ConfigError
        If there is none, or it is damaged.
    """
    try:
        return msgspec.json.decode((path / RUN).read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: not the folder of a training run: {error}") from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl; a last line that a crash cut short is left out."""
    rows = []
    for line in (path / METRICS).read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            rows.append(msgspec.json.decode(line, type=dict[str, Any]))
    return rows


def read_results(path: Path) -> dict[str, Any]:
    """Read results.json.

    Raises
    ------
    ConfigError
        If the run is not over.
    """
    try:
        return msgspec.json.decode((path / RESULTS).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"{path / RESULTS}: {error}: the run is not over; gm train --resume ends it"
        ) from error


def _check_same(path: Path, found: RunRecord, wanted: RunRecord) -> None:
    for name in RunRecord.__struct_fields__:
        was, now = getattr(found, name), getattr(wanted, name)
        if was != now:
            raise ConfigError(f"{path / RUN}: {name} was {was}, this run says {now}")


def _board(folder: Path, update: int) -> Any:  # noqa: ANN401
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), filename_suffix=f".from-{update}")


def pretty(value: Any) -> bytes:  # noqa: ANN401
    """JSON for people, equal values to equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1) + b"\n"
