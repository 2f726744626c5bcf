"""Every exception of the project, one for each Status of the core. Bottom floor: imports nothing.

An exception carries the exit code that a command ends with when nobody catches it: 1 failure,
2 usage, 3 configuration, 4 risk stop, 5 data gap.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class GmError(Exception):
    """Something that the project itself refuses or finds broken."""

    exit_code: ClassVar[int] = 1


class UsageError(GmError):
    """The command line contradicts itself."""

    exit_code = 2


class ConfigError(GmError):
    """A configuration is refused; the text names file, key, value and allowed range."""

    exit_code = 3


class RiskStop(GmError):
    """The engine stopped because a risk limit or a kill switch said so."""

    exit_code = 4


class DataGap(GmError):
    """Data that a command needs is missing or was refused."""

    exit_code = 5


class StoreFailed(GmError):
    """The database could not take in what the journal holds."""


class KernelRefused(GmError):
    """A user kernel cannot be built or loaded; the text names function, line and reason."""

    exit_code = 3


class TrainingDiverged(GmError):
    """A loss of a training run is not finite any more; the text names update and rates."""


class CoreError(GmError):
    """A core function answered with a status other than kOk."""

    status: ClassVar[int] = -1


class BadArgument(CoreError, ValueError):
    """An argument is outside its range."""

    status = 1


class OutOfMemory(CoreError, MemoryError):
    """Memory could not be obtained."""

    status = 2


class SystemCallFailed(CoreError):
    """A system call failed; the text names it and its errno."""

    status = 3


class NotANumber(CoreError, ValueError):
    """A text is not a finite decimal number."""

    status = 4


class OffGrid(CoreError, ValueError):
    """A value is not a whole number of ticks or lots. It is refused, not rounded."""

    status = 5


class Overflow(CoreError, ValueError):
    """A value does not fit into 64 bits."""

    status = 6


class RingFull(CoreError):
    """A ring has no free slot."""

    status = 20


class BadCapacity(CoreError, ValueError):
    """A ring was asked for a size that is not a power of two."""

    status = 21


class BadFrame(CoreError, ValueError):
    """A frame has a wrong size, magic or count."""

    status = 22


class SchemaMismatch(CoreError):
    """A file or a peer has another schema version."""

    status = 23


class JournalCorrupt(CoreError):
    """The journal is damaged before its end: no trading on it."""

    status = 40


class JournalForeign(CoreError):
    """The journal belongs to another tape or configuration: take another --run-dir."""

    status = 41
    exit_code = 3


class JournalLocked(CoreError):
    """Another process holds the journal."""

    status = 42


class JournalFull(CoreError):
    """The journal has no room."""

    status = 43


class ReplayDiverged(CoreError):
    """A replay gave other bytes than the journal holds."""

    status = 44


class UnknownInstrument(CoreError, ValueError):
    """No such instrument is configured."""

    status = 60
    exit_code = 3


class BadInstrument(CoreError, ValueError):
    """An instrument's row contradicts itself."""

    status = 61
    exit_code = 3


class BadCalendar(CoreError, ValueError):
    """A session table is not ascending."""

    status = 62
    exit_code = 3


class BadNetwork(CoreError, ValueError):
    """An ONNX file is damaged or not allowed."""

    status = 90
    exit_code = 3


class UnsupportedNetwork(CoreError, ValueError):
    """A network is outside the native operator set."""

    status = 91
    exit_code = 3


class BadLimits(CoreError, ValueError):
    """A risk limit is missing or contradictory."""

    status = 120
    exit_code = 3


class BadTransition(CoreError):
    """An order cannot go from its state to that one."""

    status = 121


class UnknownOrder(CoreError):
    """No such order is known."""

    status = 122


class BadSettings(CoreError, ValueError):
    """A settings block is damaged or contradictory."""

    status = 150
    exit_code = 3


class BadTape(CoreError, ValueError):
    """The venue's tape is damaged or empty."""

    status = 170
    exit_code = 5


class ZmqMissing(CoreError):
    """pyzmq's libzmq was not found in this process."""

    status = 190


class ZmqFailed(CoreError):
    """A ZeroMQ call failed; the text names it."""

    status = 191


class VenueRefused(CoreError):
    """The venue refused the connection; the text says why."""

    status = 192


class TimedOut(CoreError):
    """No answer came in time."""

    status = 193


class AlreadyRunning(CoreError):
    """Another engine runs in this run directory."""

    status = 194


BY_STATUS: Mapping[int, type[CoreError]] = MappingProxyType(
    {error.status: error for error in CoreError.__subclasses__()}
)
