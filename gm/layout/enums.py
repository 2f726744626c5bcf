"""NumPy-side names of the core's enums; numbers are never reused."""

from enum import IntEnum


class RecordType(IntEnum):
    """What a record is; 1-23 feed, 24-49 order session, 50-69 io and operator, 70-99 engine."""

    NONE = 0
    BAR_OPEN = 1
    BAR_CLOSE = 2
    TRADE = 3
    QUARANTINE = 5
    HEARTBEAT = 6
    END = 7
    QUOTE = 8
    BOOK_LEVEL = 9
    BOOK_RESET = 10
    RANGE_ORDER = 24
    RANGE_END = 25
    POSITION_REPORT = 26
    POSITION_NOTICE = 27
    HELLO = 30
    READY = 31
    DONE = 32
    NEW_ORDER = 33
    CANCEL_ORDER = 34
    QUERY_ORDER = 35
    FEED_REPLAY = 36
    REPLACE_ORDER = 37
    QUERY_RANGE = 38
    QUERY_ACCOUNT = 39
    WELCOME = 40
    ACK = 41
    REJECT = 42
    FILL = 43
    CANCELLED = 44
    EXPIRED = 45
    ORDER_STATE = 46
    REPLAYED_BAR = 47
    REPLAY_END = 48
    REPLACED = 49
    TIMER = 50
    EPOCH = 51
    STOP = 52
    DISCONNECTED = 53
    CONNECTED = 54
    BACKFILL = 55
    KERNEL_RESULT = 56
    BACKFILL_END = 57
    MODEL_COMMAND = 58
    HEADROOM = 59
    KILL = 60
    ORDER_STOPPED = 61
    POLICY_LATE = 62
    IDS_RESERVED = 66
    POSITION_CHECK = 67
    BOOKS_ACCEPTED = 68
    DECISION = 70
    INTENT = 71
    REFUSAL = 72
    ORDER_UPDATE = 73
    POSITION = 74
    STATE = 75
    BAR_QUARANTINED = 76
    SYNERGY = 77
    KERNEL_STATE = 78
    MODEL_UPDATE = 79
    SHADOW_DECISION = 80
    TACTICAL_DECISION = 81
    SHADOW_TACTICAL_DECISION = 82
    RISK_TRIP = 83
    KILL_STATE = 84
    IDS_WANTED = 88
    RECON_BREAK = 89
    BOOKS_ADJUSTED = 94
    BLOCK_DIGEST = 100


class Source(IntEnum):
    """Who wrote a record."""

    VENUE_FEED = 1
    VENUE_ORDERS = 2
    IO = 3
    ENGINE = 4
    OPERATOR = 5
    JOURNAL = 6
    KERNEL = 7


class BookResetReason(IntEnum):
    """Why a book is empty."""

    SNAPSHOT = 0
    GAP = 1


class KernelStatus(IntEnum):
    """How a call of a user kernel ended."""

    OK = 0
    NOT_FINITE = 1
    OUT_OF_RANGE = 2
    OVER_BUDGET = 3
    FAILED = 4
    HUNG = 5
    QUARANTINED = 6
    NOT_WARM = 7


class KernelPolicy(IntEnum):
    """What follows when a kernel is quarantined."""

    HALT = 0
    SKIP = 1


class ModelAction(IntEnum):
    """What shall become of a model."""

    NONE = 0
    SHADOW = 1
    PROMOTE = 2
    RETIRE = 3
    ROLL_BACK = 4
    LATE = 5


class ModelStage(IntEnum):
    """What a model is for an engine."""

    NONE = 0
    SHADOW = 1
    LIVE = 2
    RETIRED = 3
    REFUSED = 4


class ModelCause(IntEnum):
    """Why a model changed its stage, or a command was refused."""

    ORDERED = 0
    NOT_FINITE = 1
    LATE = 2
    OUT_OF_DISTRIBUTION = 3
    NOT_LOADED = 4
    NO_SUCH_MODEL = 5


class KernelKind(IntEnum):
    """What a user kernel gives: a column, or the decision."""

    FEATURE = 0
    RULE = 1


class KernelField(IntEnum):
    """A field of closed bars that a kernel sees a window of."""

    OPEN = 0
    HIGH = 1
    LOW = 2
    CLOSE = 3
    VOLUME = 4


class Profile(IntEnum):
    """What decides."""

    STRATEGIC_ONLY = 0
    RULE = 1
    TWO_LEVEL = 2


class Side(IntEnum):
    """Of an order, a fill or an aggressor."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """How an order matches."""

    MARKET = 0
    LIMIT = 1
    STOP = 2


class TimeInForce(IntEnum):
    """How long an order may trade."""

    GOOD_TILL_CANCEL = 0
    IMMEDIATE_OR_CANCEL = 1
    FILL_OR_KILL = 2


class OrderState(IntEnum):
    """One word for the life of an order in engine, venue, journal and store."""

    ABSENT = 0
    NEW = 1
    INTENT = 2
    SENT = 3
    LIVE = 4
    PARTIAL = 5
    UNKNOWN = 6
    PENDING_CANCEL = 7
    FILLED = 8
    CANCELLED = 9
    EXPIRED = 10
    REJECTED = 11
    NEVER = 12
    DENIED = 13
    PENDING_REPLACE = 14
    ORPHAN = 15


class OrderReason(IntEnum):
    """Why an order exists."""

    DECISION = 0
    MAX_HOLD = 1
    SESSION_END = 2
    STOP = 3
    ENTRY = 4
    TARGET = 5
    GIVE_BACK = 6


class RejectReason(IntEnum):
    """Why the venue refused."""

    NONE = 0
    RANDOM = 1
    OLD_EPOCH = 2
    OLD_CONNECTION = 3
    PAST_VALIDITY = 4
    DUPLICATE_ID = 5
    TOMBSTONED = 6
    MALFORMED = 7
    MARKET_CLOSED = 8
    FOREIGN_TAPE = 9
    TOO_LATE = 10


class Action(IntEnum):
    """What a decision wants."""

    LONG = 0
    NEUTRAL = 1
    SHORT = 2


class EntryVote(IntEnum):
    """What the third tactical agent says of an entry."""

    WAIT = 0
    EXECUTE = 1
    AGGRESSIVE = 2


class EngineState(IntEnum):
    """Where the engine stands."""

    RECOVERING = 0
    READY = 1
    STOPPING = 2
    ENDED = 3
    HALTED = 4


class QuarantineReason(IntEnum):
    """Why a row of market data was refused. Stable numbers."""

    NONE = 0
    NOT_FINITE = 1
    BELOW_FLOOR = 2
    OFF_GRID = 3
    NEGATIVE_VOLUME = 4
    CONTRADICTION = 5
    OVERFLOW = 6
    DUPLICATE_TIME = 7
    BACKWARD_TIME = 8
    FUTURE = 9
    JUMP_BAND = 10
    CROSSED_BOOK = 11
    LOCKED_BOOK = 12
    UNKNOWN_SYMBOL = 13
    LINE_TOO_LONG = 14
    MALFORMED = 15
    NONEXISTENT_TIME = 16
    SUSPICIOUS = 17


class NotReadyReason(IntEnum):
    """Why a matrix is not ready."""

    NONE = 0
    WARMING_UP = 1
    PRICE_NOT_POSITIVE = 2
    OUT_OF_SESSION = 3


class GateCode(IntEnum):
    """R01 to R21 of SAFETY, those built so far."""

    NONE = 0
    KILLED = 1
    NOT_READY = 2
    NOT_PERMITTED = 3
    MALFORMED = 4
    MAX_QUANTITY = 5
    MAX_NOTIONAL = 6
    COLLAR = 7
    STALE_REFERENCE = 8
    POSITION = 9
    GROSS = 10
    CREDIT = 11
    RATE = 12
    DUPLICATE = 13
    REPEAT_EXECUTION = 14
    LOSS = 15
    SELF_MATCH = 16
    PARENT_EXCESS = 17
    BACKPRESSURE = 18
    RECON_BREAK = 19
    POLICY_INVALID = 20


class KillLevel(IntEnum):
    """How far the kill switch was pulled."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2
    KILLED = 3


class KillCause(IntEnum):
    """Why a level of the kill switch changed."""

    NONE = 0
    ORDERED = 1
    SIGNAL = 2
    BAD_TRANSITION = 3
    ARITHMETIC = 4
    KERNEL = 5
    STOPPED = 6
    CRASH_LOOP = 7
    RESTART = 8
    LATCH_DOUBT = 9
    FORMER_LIFE = 10
    CLEARED = 11
    LIMITS = 12
    REPEAT_EXECUTION = 14
    LOSS = 15
    RECON_BREAK = 19
    POLICY_INVALID = 20


class ReconField(IntEnum):
    """What of the venue's books is not ours."""

    NONE = 0
    POSITION = 1
    CASH = 2
    COMMISSION = 3
    OPEN_ORDERS = 4
    LATE_FILL = 5


class Room(IntEnum):
    """What R18 measures."""

    NONE = 0
    ORDER_RING = 1
    JOURNAL_RING = 2
    DISK = 3
