"""Promise: two people, for this step of this latch, within five minutes, or nothing falls."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from gm.errors import ConfigError
from gm.kill import signatures
from gm.kill.signatures import WITHIN_S, Fall, find_pair, forget, sign
from gm.models.signature import load_people

from .people import key_of, write_key, write_people

FALL = Fall(latch_id="ab" * 16, sequence=4, level="halted", installation=7)


@pytest.fixture
def people(tmp_path):
    return load_people(write_people(tmp_path))


def signed(folder: Path, people, *names: str, fall: Fall = FALL, at: int = 0) -> None:
    for name in names:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signatures.time, "time", lambda: time.time_ns() / 1e9 + at)
            sign(folder, fall, name, write_key(folder, name), people)


def test_two_distinct_people_are_enough_and_one_is_not(tmp_path, people) -> None:
    signed(tmp_path, people, "ada")
    assert not find_pair(tmp_path, FALL, people).is_enough
    signed(tmp_path, people, "ada")  # signs again: still one
    assert not find_pair(tmp_path, FALL, people).is_enough
    signed(tmp_path, people, "grace")
    pair = find_pair(tmp_path, FALL, people)
    assert pair.is_enough
    assert pair.faults == {}
    assert len(pair.sha256) == 32
    following = msgspec.structs.replace(FALL, sequence=5, level="reducing")
    signed(tmp_path, people, "grace", fall=following)
    forget(tmp_path, FALL)  # over; who has signed for the next already need not sign again
    assert find_pair(tmp_path, FALL, people).good == ()
    assert [one.person for one in find_pair(tmp_path, following, people).good] == ["grace"]


def test_one_person_in_two_files_is_one_person(tmp_path, people) -> None:
    signed(tmp_path, people, "ada")
    (tmp_path / "clear/bob.json").write_bytes((tmp_path / "clear/ada.json").read_bytes())
    pair = find_pair(tmp_path, FALL, people)
    assert not pair.is_enough
    assert "has signed already" in pair.faults["bob.json"]


def test_a_person_who_may_not_sign_or_has_another_key_is_refused(tmp_path, people) -> None:
    with pytest.raises(ConfigError, match=r"eve is not in people.yaml: ada, grace, tom"):
        sign(tmp_path, FALL, "eve", write_key(tmp_path, "eve"), people)
    with pytest.raises(ConfigError, match=r"tom is a trader; clearing is for operator and"):
        sign(tmp_path, FALL, "tom", write_key(tmp_path, "tom"), people)
    with pytest.raises(ConfigError, match=r"not the key that people.yaml has for ada"):
        sign(tmp_path, FALL, "ada", write_key(tmp_path, "grace"), people)
    key = write_key(tmp_path, "ada")
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 0600"):
        sign(tmp_path, FALL, "ada", key, people)
    assert not (tmp_path / "clear").exists() or not list((tmp_path / "clear").iterdir())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"latch_id": "cd" * 16}, "for latch cdcd"),
        ({"sequence": 3}, "for record 3 to halted; record 4"),
        ({"level": "reducing"}, "for record 4 to reducing; record 4 may fall to halted"),
        ({"installation": 8}, "not the signature of grace over this fall"),
    ],
)
def test_a_signature_for_anything_else_does_not_count(tmp_path, people, other, said) -> None:
    signed(tmp_path, people, "ada")
    signed(tmp_path, people, "grace", fall=msgspec.structs.replace(FALL, **other))
    pair = find_pair(tmp_path, FALL, people)
    assert not pair.is_enough
    assert said in pair.faults["grace.json"]


def test_signatures_more_than_five_minutes_apart_are_no_pair(tmp_path, people) -> None:
    signed(tmp_path, people, "ada", at=-WITHIN_S - 2)
    signed(tmp_path, people, "grace")
    pair = find_pair(tmp_path, FALL, people)
    assert [found.person for found in pair.good] == ["grace"]
    assert "expired" in pair.faults["ada.json"]
    signed(tmp_path, people, "ada", at=-WITHIN_S + 2)
    assert find_pair(tmp_path, FALL, people).is_enough


def test_a_signature_of_the_future_does_not_count(tmp_path, people) -> None:
    signed(tmp_path, people, "ada")
    signed(tmp_path, people, "grace", at=60)
    pair = find_pair(tmp_path, FALL, people)
    assert "in the future" in pair.faults["grace.json"]
    assert not pair.is_enough


def test_every_altered_field_of_a_file_is_noticed(tmp_path, people) -> None:
    signed(tmp_path, people, "ada", "grace")
    path = tmp_path / "clear/grace.json"
    good = json.loads(path.read_bytes())
    for key, value in {
        "person": "tom", "latch_id": "00" * 16, "sequence": 5, "level": "active",
        "signed_s": good["signed_s"] - 1, "signature": "00" * 64,
    }.items():  # fmt: skip
        path.write_text(json.dumps(good | {key: value}))
        pair = find_pair(tmp_path, FALL, people)
        assert not pair.is_enough, key
        assert "grace.json" in pair.faults, key
    for text in ("", "{", "[]", '{"person": "grace"}', "x" * 10_000):
        path.write_text(text)
        assert "grace.json" in find_pair(tmp_path, FALL, people).faults, text
    path.write_text(json.dumps(good))
    assert find_pair(tmp_path, FALL, people).is_enough


def test_a_key_that_people_yaml_does_not_have_any_more_does_not_count(tmp_path, people) -> None:
    signed(tmp_path, people, "ada", "grace")
    assert key_of("ada").public_key() != key_of("grace").public_key()
    left = {name: person for name, person in people.items() if name != "grace"}
    pair = find_pair(tmp_path, FALL, left)
    assert not pair.is_enough
    assert "not in people.yaml" in pair.faults["grace.json"]
