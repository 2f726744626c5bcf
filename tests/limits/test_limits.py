"""Promise: live trading has limits that enough people signed, and nobody raises one alone."""

import json
from pathlib import Path

import msgspec
import pytest

from gm.config.settings import load_settings
from gm.errors import ConfigError
from gm.limits import SignOptions, find_limits, limits_of_run, report_limits, sign_limits
from gm.limits.seen import read_seen, seen_path
from gm.limits.sets import LimitSet, numbers_of, raised_keys, with_limits

from ..kill.people import ROLES, public_key_of, write_key, write_people
from ..tapes import write_config

LIVE = {"trading": "live", "folder": "limits", "people_file": "people.yaml"}


@pytest.fixture
def config(tmp_path) -> Path:
    write_people(tmp_path)
    return live_config(tmp_path)


def live_config(folder: Path, **changes) -> Path:
    """Live settings of one instrument whose numbers a test may change."""
    account = changes.pop("account", {})
    return write_config(
        folder / "live.yaml",
        limits=LIVE,
        engine={"crash_loop_starts": 3},
        account=account,
        trading={"BTC-PERP": changes},
    )


def sign(config: Path, person: str, days: int = 30):
    key = write_key(config.parent, person)
    return sign_limits(SignOptions(config=config, person=person, key=key, days=days))


def found(config: Path, now_s: float | None = None):
    return find_limits(config, load_settings(config), now_s)


def test_paper_trading_asks_for_no_signature(tmp_path) -> None:
    config = write_config(tmp_path / "paper.yaml")
    assert found(config).sequence == 0


def test_live_trading_without_a_set_refuses(config) -> None:
    with pytest.raises(ConfigError, match="gm limits sign makes the first"):
        found(config)


def test_the_first_set_takes_two_people(config) -> None:
    report = sign(config, "ada")
    assert report.signers == ("ada",)
    assert report.signers_needed == 2
    with pytest.raises(ConfigError, match=r"live: .*0001.json: signed by 1 of 2 people"):
        found(config)
    with pytest.raises(ConfigError, match="ada has signed already: another must, too"):
        sign(config, "ada")
    report = sign(config, "grace")
    assert (report.sequence, report.signers, report.fault) == (1, ("ada", "grace"), "")
    limits = found(config)
    assert (limits.sequence, limits.sha256) == (1, report.sha256)
    assert limits.expires_s == report.expires_s


def test_one_person_may_lower_and_two_must_raise(config) -> None:
    sign(config, "ada")
    sign(config, "grace")
    live_config(config.parent, position_lots_max=2_000)
    with pytest.raises(ConfigError, match=r"trading.BTC-PERP.position_lots_max is not what set 1"):
        found(config)
    report = sign(config, "ada", days=29)
    assert report.raises == ("trading.BTC-PERP.position_lots_max",)
    assert "signed by 1 of 2" in report.fault
    assert sign(config, "grace").fault == ""
    live_config(config.parent, position_lots_max=1_500, orders_per_second_max=9)
    report = sign(config, "ada", days=28)
    assert (report.sequence, report.raises, report.fault) == (3, (), "")
    assert found(config).sequence == 3


def test_a_set_that_lasts_longer_is_raised(config) -> None:
    sign(config, "ada", days=1)
    sign(config, "grace")
    report = sign(config, "grace", days=30)
    assert report.raises == ("expires_s",)
    assert report.signers_needed == 2


def test_the_same_person_twice_counts_once(config) -> None:
    sign(config, "ada")
    path = config.parent / "limits/0001.json"
    held = json.loads(path.read_bytes())
    held["signatures"] *= 2
    path.write_text(json.dumps(held))
    report = report_limits(config, load_settings(config))
    assert report.signers == ("ada",)
    assert "ada has signed twice" in report.fault


def test_strangers_and_those_who_may_not_sign_are_refused(config) -> None:
    with pytest.raises(ConfigError, match="tom is a trader; limits are for"):
        sign(config, "tom")
    with pytest.raises(ConfigError, match=r"eve is not in people\.yaml"):
        sign(config, "eve")
    with pytest.raises(ConfigError, match=r"not the key that people\.yaml has for ada"):
        sign_limits(SignOptions(config=config, person="ada", key=write_key(config.parent, "grace")))
    sign(config, "ada")
    path = config.parent / "limits/0001.json"
    held = json.loads(path.read_bytes())
    stranger = {"person": "eve", "signature": held["signatures"][0]["signature"]}
    path.write_text(json.dumps(held | {"signatures": [*held["signatures"], stranger]}))
    with pytest.raises(ConfigError, match=r"eve is not in people\.yaml"):
        found(config)


def test_a_forged_signature_is_none(config) -> None:
    sign(config, "ada")
    path = config.parent / "limits/0001.json"
    held = json.loads(path.read_bytes())
    forged = {"person": "grace", "signature": held["signatures"][0]["signature"]}
    path.write_text(json.dumps(held | {"signatures": [*held["signatures"], forged]}))
    with pytest.raises(ConfigError, match="not the signature of grace over this set"):
        found(config)


def test_every_byte_of_a_set_is_signed_for(config) -> None:
    sign(config, "ada")
    sign(config, "grace")
    path = config.parent / "limits/0001.json"
    good = path.read_bytes()
    held = json.loads(good)
    changed = {
        "author": "tom",
        "created_s": held["set"]["created_s"] + 1,
        "expires_s": held["set"]["expires_s"] + 1,
        "account": held["set"]["account"] | {"loss_max": "0"},
        "trading": {},
        "signers": None,
    }
    for key, value in changed.items():
        path.write_text(json.dumps(held | {"set": held["set"] | {key: value}}))
        with pytest.raises(ConfigError, match="another set of this number has stood"):
            found(config)
        seen_path(config.parent / "limits").unlink()  # and of a set that never stood
        with pytest.raises(ConfigError, match="signed by 0 of 2 people"):
            found(config)
        path.write_bytes(good)
        assert found(config).sequence == 1
    settings = load_settings(config)
    for at in range(0, len(good), 61):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            limits = find_limits(config, settings)
        except ConfigError:
            continue
        raise AssertionError(f"byte {at}: {limits}")
    path.write_bytes(good)
    assert found(config).sequence == 1


def test_a_set_that_never_ends_or_never_began_is_refused(config) -> None:
    for days in (0, -1, 401):
        with pytest.raises(ConfigError, match=rf"--days must lie in \[1, 400\]: {days}"):
            sign(config, "ada", days=days)


def test_a_set_expires(config) -> None:
    report = sign(config, "ada", days=1)
    sign(config, "grace")
    assert found(config, report.expires_s - 1).sequence == 1
    with pytest.raises(ConfigError, match=r"set 1 expired 0 s ago"):
        found(config, report.expires_s)


def test_the_chain_of_sets_is_whole_or_nothing(config) -> None:
    sign(config, "ada")
    sign(config, "grace")
    live_config(config.parent, position_lots_max=1_500)
    sign(config, "ada")
    sign(config, "grace")
    folder = config.parent / "limits"
    assert found(config).sequence == 2
    first = (folder / "0001.json").read_bytes()
    (folder / "0001.json").unlink()
    with pytest.raises(ConfigError, match="holds set 2, where set 1 should be"):
        found(config)
    other = first.replace(b'"author": "ada"', b'"author": "tom"')
    assert other != first
    (folder / "0001.json").write_bytes(other)
    with pytest.raises(ConfigError, match="does not follow the set before it"):
        found(config)


def test_a_waiting_set_of_other_numbers_is_not_signed_for_by_mistake(config) -> None:
    sign(config, "ada")
    live_config(config.parent, position_lots_max=1_999)
    with pytest.raises(ConfigError, match=r"waits for a signature .*position_lots_max"):
        sign(config, "grace")


def made(account: dict, desk: dict, expires_s: int = 10) -> LimitSet:
    return LimitSet(
        sequence=1, before_sha256="0" * 64, author="ada", created_s=0, expires_s=expires_s,
        account=account, trading={"NQ": desk},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "tighter", "looser"),
    [
        ("position_lots_max", 1, 2),
        ("collar_percent", "1.5", "2"),
        ("duplicate_window_ms", 1_000, 999),
        ("repeat_window_ms", 10, 9),
        ("margin_per_lot", "5", "4.999999"),
        ("loss_max", "1000000", "0"),
        ("repeat_executions_max", 20, 0),
        ("loss_confirmations", 2, 3),
        ("sides", ("buy",), ("buy", "sell")),
        ("types", ("limit",), ("market",)),
        ("gross_notional_max", "1", "1.000001"),
    ],
)
def test_each_number_is_looser_in_its_own_direction(key, tighter, looser) -> None:
    old, new = made({}, {key: tighter}), made({}, {key: looser})
    assert raised_keys(old, new) == (f"trading.NQ.{key}",)
    assert raised_keys(old, old) == ()
    is_neither = key == "types"  # another type is another permission, either way round
    assert (raised_keys(new, old) == ()) is not is_neither


def test_what_only_one_of_two_sets_knows_is_raised() -> None:
    assert raised_keys(made({"a": 1}, {}), made({}, {})) == ("account.a",)
    assert raised_keys(made({}, {}), made({"a": 1}, {})) == ("account.a",)
    more = msgspec.structs.replace(made({}, {}), trading={"NQ": {}, "ES": {}})
    assert raised_keys(made({}, {}), more) == ("trading.ES",)
    assert raised_keys(more, made({}, {})) == ()


def test_every_limit_of_the_settings_is_in_the_set(config) -> None:
    settings = load_settings(config)
    account, trading = numbers_of(settings)
    assert set(account) == set(msgspec.structs.asdict(settings.account))
    names = set(msgspec.structs.asdict(settings.trading["BTC-PERP"]))
    assert set(trading["BTC-PERP"]) == names - {"target_lots", "bracket"}
    assert not any(isinstance(value, float) for value in account.values())


def test_live_settings_want_a_crash_loop(tmp_path) -> None:
    write_people(tmp_path)
    path = write_config(tmp_path / "loop.yaml", limits=LIVE, engine={"crash_loop_starts": 0})
    with pytest.raises(ConfigError, match=r"crash_loop_starts: 0 is for limits\.trading: paper"):
        load_settings(path)


def signed_twice(config: Path) -> Path:
    """Set 1 and set 2, which raises a number, each signed by two; the folder."""
    sign(config, "ada")
    sign(config, "grace")
    live_config(config.parent, position_lots_max=1_500)
    sign(config, "ada", days=29)
    sign(config, "grace")
    assert found(config).sequence == 2
    return config.parent / "limits"


def write_who(folder: Path, **changed: str | None) -> None:
    """people.yaml with other roles; None: not in it any more."""
    roles = {name: changed.get(name, role) for name, role in ROLES.items()}
    rows = [
        f"  {name}: {{role: {role}, public_key: '{public_key_of(name)}'}}"
        for name, role in roles.items()
        if role is not None
    ]
    (folder / "people.yaml").write_text("people:\n" + "\n".join(rows) + "\n")


def test_a_set_that_was_removed_does_not_bring_the_one_before_it_back(config) -> None:
    folder = signed_twice(config)
    kept = (folder / "0002.json").read_bytes()
    (folder / "0002.json").unlink()
    live_config(config.parent)  # the numbers of set 1
    gone = r"0002\.json: this set of limits has stood, and the newest now is 1"
    with pytest.raises(ConfigError, match=gone):
        found(config)
    with pytest.raises(ConfigError, match=gone):
        sign(config, "ada")
    with pytest.raises(ConfigError, match=gone):
        limits_of_run(config, load_settings(config), 1, "0" * 64)
    (folder / "0001.json").unlink()
    with pytest.raises(ConfigError, match="the newest now is 0"):
        found(config)
    (folder / "0001.json").write_bytes(kept)
    with pytest.raises(ConfigError, match="holds set 2, where set 1 should be"):
        found(config)


def test_what_has_stood_only_rises_and_is_doubt_where_it_is_damaged(config) -> None:
    folder = config.parent / "limits"
    assert read_seen(folder) is None
    sign(config, "ada")
    assert read_seen(folder) is None  # one of two
    report = sign(config, "grace")
    seen = read_seen(folder)
    assert seen is not None
    assert (seen.sequence, seen.sha256) == (1, report.sha256)
    whole = seen_path(folder).read_bytes()
    seen_path(folder).write_bytes(whole[:-9])
    with pytest.raises(ConfigError, match=r"limits\.seen\.json: which set of limits stood last"):
        found(config)
    seen_path(folder).unlink()  # of before it was kept: the next start keeps it
    assert found(config).sequence == 1
    assert seen_path(folder).read_bytes() == whole


def test_a_set_is_judged_by_the_people_of_its_day(config) -> None:
    signed_twice(config)
    write_who(config.parent, grace=None)
    assert found(config).sequence == 2
    write_who(config.parent, grace="trader", ada=None)
    assert report_limits(config, load_settings(config)).signers == ("ada", "grace")
    # What comes anew is signed by those of today.
    live_config(config.parent, position_lots_max=1_400)
    with pytest.raises(ConfigError, match=r"ada is not in people\.yaml"):
        sign(config, "ada")
    with pytest.raises(ConfigError, match="grace is a trader"):
        sign(config, "grace")


def test_keys_that_a_set_brings_along_are_believed_of_nobody(config) -> None:
    write_who(config.parent, ada="trader", grace="trader")
    people = config.parent / "people.yaml"
    honest = people.read_text()
    write_who(config.parent)  # who can write the folder makes a set for people of his own
    sign(config, "ada")
    sign(config, "grace")
    seen_path(config.parent / "limits").unlink()
    people.write_text(honest)
    with pytest.raises(ConfigError, match="signed by 0 of 2 people"):
        found(config)


def test_who_lowers_a_limit_does_not_vouch_for_the_set_before(config) -> None:
    sign(config, "ada")
    sign(config, "grace")
    people, seen = config.parent / "people.yaml", seen_path(config.parent / "limits")
    honest, stood = people.read_text(), seen.read_bytes()
    # Ada makes people of her own, has them raise a limit, and lowers it a little under her name.
    rows = [
        f"  {name}: {{role: operator, public_key: '{public_key_of(name)}'}}"
        for name in ("ada", "x", "y")
    ]
    people.write_text("people:\n" + "\n".join(rows) + "\n")
    live_config(config.parent, position_lots_max=900_000)
    sign(config, "x", days=29)
    assert sign(config, "y").fault == ""
    live_config(config.parent, position_lots_max=899_999)
    report = sign(config, "ada", days=28)
    assert (report.sequence, report.raises, report.fault) == (3, (), "")
    people.write_text(honest)
    seen.write_bytes(stood)
    with pytest.raises(ConfigError, match=r"0002\.json: signed by 0 of 2 people"):
        found(config)
    assert seen.read_bytes() == stood


def test_a_set_that_waits_for_a_signature_replaces_none(config) -> None:
    sign(config, "ada")
    report = sign(config, "grace")
    live_config(config.parent, position_lots_max=1_500)
    sign(config, "ada", days=29)
    live_config(config.parent)
    of_run = limits_of_run(config, load_settings(config), 1, report.sha256)
    assert of_run.reduces_because == ""
    live_config(config.parent, position_lots_max=1_500)
    sign(config, "grace")
    of_run = limits_of_run(config, load_settings(config), 1, report.sha256)
    assert of_run.reduces_because == "set 2 stands, and this run began with set 1"


def test_people_that_change_between_two_signatures_are_noticed(config) -> None:
    sign(config, "ada")
    write_who(config.parent, tom="operator")
    with pytest.raises(ConfigError, match=r"people\.yaml has changed since it was written"):
        sign(config, "grace")


def test_a_set_of_before_people_were_kept_is_signed_for_as_it_was(config) -> None:
    old = LimitSet(
        sequence=1, before_sha256="0" * 64, author="ada", created_s=5, expires_s=6,
        account={"a": 1}, trading={},
    )  # fmt: skip
    assert old.message() == (
        b'grandmodel limits 1\n{"account":{"a":1},"author":"ada","before_sha256":"'
        + b"0" * 64
        + b'","created_s":5,"expires_s":6,"format":1,"sequence":1,"trading":{}}'
    )


def test_a_run_is_bound_by_the_set_it_began_with_and_may_only_reduce_under_it(config) -> None:
    folder = signed_twice(config)
    settings = load_settings(config)
    first = json.loads((folder / "0001.json").read_bytes())["set"]
    sha256 = LimitSet(**{**first, "account": first["account"]}).sha256
    of_run = limits_of_run(config, settings, 1, sha256)
    assert of_run.reduces_because == "set 2 stands, and this run began with set 1"
    assert of_run.signed.sequence == 1
    newest = found(config)
    assert limits_of_run(config, settings, 2, newest.sha256).reduces_because == ""
    late = limits_of_run(config, settings, 2, newest.sha256, newest.expires_s + 5)
    assert late.reduces_because == "set 2 expired 5 s ago: gm limits sign"
    with pytest.raises(ConfigError, match=r"0002\.json: not the set .* began with"):
        limits_of_run(config, settings, 2, sha256)
    with pytest.raises(ConfigError, match=r"0003\.json: not the set"):
        limits_of_run(config, settings, 3, sha256)


def test_the_numbers_of_a_set_are_laid_over_the_settings_as_they_were(config) -> None:
    sign(config, "ada")
    sign(config, "grace")
    before = load_settings(config)
    live_config(config.parent, position_lots_max=1_500, collar_percent="1.5")
    changed = load_settings(config)
    held = json.loads((config.parent / "limits/0001.json").read_bytes())["set"]
    again = with_limits(config, changed, msgspec.convert(held, LimitSet))
    assert numbers_of(again) == numbers_of(before)
    assert numbers_of(again) != numbers_of(changed)
    held["account"].pop("loss_confirmations")
    with pytest.raises(ConfigError, match="set 1 of limits does not fit these settings"):
        with_limits(config, changed, msgspec.convert(held, LimitSet))
