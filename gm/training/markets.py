"""The markets of a training run: files of bars, cut by time into train, validation and test.

Every tape is cut by ``split_by_time`` at the same shares of its bars; see gm.training.tapes.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.config.settings import config_hash, load_settings
from gm.errors import BadArgument
from gm.readers import BAR, aggregate_bars, read_bars
from gm.training.market import Market
from gm.training.networks import STRATEGIC
from gm.training.run_folder import Data, RunRecord, versions
from gm.training.split import EMBARGO_BARS, PURGE_BARS, Split, split_by_time
from gm.training.tapes import Part, Tapes
from gm.venue.synthetic import BAR_MINUTES, says_synthetic, synthetic_session

if TYPE_CHECKING:
    from gm.training.command import Job

BARS_MINUTES = 30
EVALUATION_MARKETS = 16
SYNTHETIC_BARS, SYNTHETIC_SEED = 12_000, 6  # without a file

Rows = NDArray[np.void]


class Markets(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Three batches over three stretches of time, and what the run folder says of them.

    ``tapes``: what they were made from; None where they are no markets of bars.
    """

    train: Any
    validation: Any
    test: Any
    record: RunRecord
    tapes: Tapes | None = None


class Unplayable:
    """Stands where a trainer wants a market that is never played."""

    agents = tuple(agent.name for agent in STRATEGIC.agents)

    def __init__(self, size: int) -> None:
        self.size = size

    def reset(self, seed: int | None = None) -> NoReturn:
        """Never called."""
        raise RuntimeError("a policy that is only read has no market")

    def step(self, actions: NDArray[np.int64]) -> NoReturn:
        """Never called."""
        raise RuntimeError("a policy that is only read has no market")

    def set_synergy_factor(self, factor: float) -> None:
        """Nothing to set."""


def markets_of_files(job: "Job") -> Markets:
    """Read files and make the markets of a job.

    Parameters
    ----------
    job : Job
        No file: seeded synthetic bars, and the run says so.

    Returns
    -------
    Markets

    Raises
    ------
    BadArgument
        If a tape is too short to be cut.
    GmError
        As ``gm.read_bars`` and the training environment.
    """
    from gm.training.export import write_vote_bundle

    settings = load_settings(job.config)
    instruments = (job.config.parent / settings.instruments_file).resolve()
    row = find_instrument(job.instrument, instruments)
    bars, data = _tapes(job.files, row)
    job.out.mkdir(parents=True, exist_ok=True)
    votes = write_vote_bundle(job.out.resolve() / "votes")
    policy = msgspec.structs.replace(settings.policy, bundle=str(votes.path))
    tapes = Tapes(
        bars=tuple(bars),
        splits=tuple(_split(tape, job) for tape in bars),
        instrument=row,
        played=msgspec.structs.replace(settings, policy=policy, instruments_file=str(instruments)),
        threads=job.threads,
    )

    def batch(part: Part, size: int) -> Market:
        found: Market = tapes.batch(
            part, size=size, seed=job.settings.seed, episode_bars=job.episode_bars
        )
        return found

    record = RunRecord(
        team="strategic",
        settings=job.settings,
        config=job.config.name,
        config_sha256=config_hash(settings),
        data=data,
        split={
            "validation": job.validation,
            "test": job.test,
            "purge_bars": PURGE_BARS,
            "embargo_bars": EMBARGO_BARS,
            "episode_bars": job.episode_bars,
        },
        threads=job.threads,
        is_synthetic=not job.files or any(says_synthetic(file) for file in job.files),
        versions=versions(),
    )
    return Markets(
        train=batch("train", job.settings.markets),
        validation=batch("validation", EVALUATION_MARKETS),
        test=batch("test", EVALUATION_MARKETS),
        record=record,
        tapes=tapes,
    )


def _split(bars: Rows, job: "Job") -> Split:
    """``split_by_time``, with room in each stretch for an episode."""
    split = split_by_time(bars, validation=job.validation, test=job.test)
    for name in split.__struct_fields__:
        found = len(getattr(split, name))
        if found <= job.episode_bars:
            raise BadArgument(
                f"{name}: {found} bars of {len(bars)}, must be more than an episode of "
                f"{job.episode_bars}: --episode-bars, --test-share, --validation-share"
            )
    return split


def _tapes(files: tuple[Path, ...], row: InstrumentConfig) -> tuple[list[Rows], tuple[Data, ...]]:
    if not files:
        count = SYNTHETIC_BARS * BARS_MINUTES // BAR_MINUTES
        session = synthetic_session(row, SYNTHETIC_SEED, count)
        bars = aggregate_bars(session, row, BARS_MINUTES)
        name = f"synthetic, seed {SYNTHETIC_SEED}"
        return [bars], (_data(name, _digest(bars), row, bars),)
    tapes, data = [], []
    for file in files:
        found = read_bars(file, row)
        bars = found.bars
        if found.bar_minutes != BARS_MINUTES:
            bars = aggregate_bars(bars, row, BARS_MINUTES)
        tapes.append(bars)
        data.append(_data(file.name, found.sha256, row, bars))
    return tapes, tuple(data)


def _data(name: str, sha256: str, row: InstrumentConfig, bars: Rows) -> Data:
    return Data(
        file=name,
        sha256=sha256,
        instrument=row.symbol,
        bars=len(bars),
        first_ts_ns=int(bars["start_ts_ns"][0]),
        last_ts_ns=int(bars["start_ts_ns"][-1]),
    )


def _digest(bars: Rows) -> str:
    return hashlib.sha256(np.ascontiguousarray(bars, BAR).tobytes()).hexdigest()
