"""Promise: bundles move one step at a time, verified, by somebody who may and says why."""

import os
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings, strategies as st

from gm.errors import ConfigError, UsageError
from gm.models import load_bundle, registry
from gm.models.registry import Act, add_bundle, fall_back, find_entry, promote, rollback
from gm.models.registry_state import RegistryState, read_registry
from gm.models.signature import Person, sign_bundle
from gm.models.verification import Terms, Verification

from .make import named, six_networks
from .test_signature import ADA, key_file, public

ACT = Act(person="ada", reason="test", at_ts_ns=5)
PROFILE = "strategic_only"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


def added(root, name, threshold=0.55):
    source = named(root.parent / f"source_{name}_{threshold}", name, threshold).path
    return add_bundle(root, source, PROFILE, ACT, Terms()).bundle


def lifted(root, name, threshold=0.55):
    bundle = added(root, name, threshold)
    for target in ("shadow", "live"):
        change = promote(root, bundle, target, ACT, Terms())
    return change


def states(root):
    return {entry.name: entry.state for entry in read_registry(root).entries}


def test_a_bundle_goes_candidate_shadow_live_and_retires_when_another_takes_over(root):
    first = lifted(root, "one")
    assert (first.before, first.state, first.retired) == ("shadow", "live", None)
    second = lifted(root, "two")
    assert second.retired == first.bundle
    assert states(root) == {"one": "retired", "two": "live"}
    history = read_registry(root).entries[0].history
    assert [(e.state, e.cause) for e in history] == [
        ("candidate", "added"),
        ("shadow", "promoted"),
        ("live", "promoted"),
        ("retired", "replaced"),
    ]
    assert {(e.person, e.reason, e.at_ts_ns) for e in history} == {("ada", "test", 5)}
    changes = [e.change for entry in read_registry(root).entries for e in entry.history]
    assert sorted(changes) == list(range(1, 8))


def test_a_copy_in_the_registry_is_whole_and_its_own(root, tmp_path):
    source = six_networks(tmp_path / "six")
    sign_bundle(source.path, "ada", key_file(tmp_path / "ada.pem", ADA))
    change = add_bundle(root, source.path, PROFILE, ACT, Terms())
    assert change.bundle == f"six-{source.sha256[:12]}"
    copy = root / change.bundle
    assert sorted(os.listdir(copy)) == sorted(os.listdir(source.path))
    shutil.rmtree(source.path)
    assert load_bundle(copy).sha256 == change.sha256 == source.sha256


@pytest.mark.parametrize(
    ("steps", "target", "says"),
    [
        ((), "live", "its next state is shadow"),
        (("shadow",), "shadow", "its next state is live"),
        (("shadow", "live"), "shadow", "promote another bundle, or roll back"),
        (("shadow", "live"), "live", "promote another bundle, or roll back"),
        (("shadow", "live"), "retired", "promote another bundle, or roll back"),
        (("retired",), "shadow", "only a rollback"),
        (("shadow", "retired"), "live", "only a rollback"),
        (("retired",), "retired", "only a rollback"),
    ],
)
def test_a_step_that_is_not_the_next_is_refused(root, steps, target, says):
    bundle = added(root, "one")
    for step in steps:
        promote(root, bundle, step, ACT, Terms())
    before = (root / "registry.json").read_bytes()
    with pytest.raises(UsageError, match=says):
        promote(root, bundle, target, ACT, Terms())
    assert (root / "registry.json").read_bytes() == before


def test_a_bundle_that_was_damaged_in_the_registry_is_not_promoted(root):
    bundle = added(root, "one")
    path = root / bundle / "mlmi.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=r"nothing is changed: mlmi\.onnx: SHA-256"):
        promote(root, bundle, "shadow", ACT, Terms())
    assert states(root) == {"one": "candidate"}
    promote(root, bundle, "retired", ACT, Terms())  # to take it away needs no soundness


def test_a_manifest_that_was_exchanged_in_the_registry_is_not_promoted(root):
    bundle = added(root, "one")
    named(root / bundle, "one", threshold=0.01)
    with pytest.raises(ConfigError, match="the registry has"):
        promote(root, bundle, "shadow", ACT, Terms())


def test_a_faulty_bundle_is_not_added(root, tmp_path):
    source = named(tmp_path / "source", "one").path
    (source / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"1 faults.*notes\.txt"):
        add_bundle(root, source, PROFILE, ACT, Terms())
    assert not root.exists()


def test_the_same_bundle_is_added_once(root):
    bundle = added(root, "one")
    with pytest.raises(UsageError, match=f"registered as {bundle}, which is candidate"):
        added(root, "one")
    added(root, "one", threshold=0.6)
    assert len(read_registry(root).entries) == 2


def test_a_required_signature_is_asked_for_before_shadow_and_live(root, tmp_path):
    terms = Terms(
        people={"ada": Person(role="operator", public_key=public(ADA))}, is_signature_required=True
    )
    source = named(tmp_path / "source", "one").path
    bundle = add_bundle(root, source, PROFILE, ACT, terms).bundle
    with pytest.raises(ConfigError, match=r"models\.signature is required"):
        promote(root, bundle, "shadow", ACT, terms)
    sign_bundle(root / bundle, "ada", key_file(tmp_path / "ada.pem", ADA))
    assert promote(root, bundle, "shadow", ACT, terms).state == "shadow"
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    sign_bundle(root / bundle, "ada", key_file(tmp_path / "eve.pem", other))
    with pytest.raises(ConfigError, match="not the signature of ada"):
        promote(root, bundle, "live", ACT, terms)
    assert states(root) == {"one": "shadow"}


@pytest.mark.parametrize(
    ("person", "reason", "says"),
    [
        ("eve", "test", "not in people.yaml"),
        ("tom", "test", "tom is a trader"),
        ("Ada L", "test", "--person"),
        ("ada", "", "--reason"),
    ],
)
def test_who_may_not_or_does_not_say_why_changes_nothing(root, person, reason, says):
    bundle = added(root, "one")
    people = {
        "ada": Person(role="operator", public_key="1" * 64),
        "tom": Person(role="trader", public_key="2" * 64),
    }
    act = Act(person=person, reason=reason, at_ts_ns=1)
    with pytest.raises(UsageError, match=says):
        promote(root, bundle, "shadow", act, Terms(people=people))
    assert states(root) == {"one": "candidate"}


def test_a_profile_that_is_no_name_is_refused(root, tmp_path):
    source = named(tmp_path / "source", "one").path
    with pytest.raises(UsageError, match="--profile"):
        add_bundle(root, source, "Any Thing", ACT, Terms())


def test_rollback_returns_to_what_was_live_before_and_never_to_what_was_rolled_back(root):
    names = [lifted(root, name).bundle for name in ("one", "two", "three")]
    change = rollback(root, PROFILE, ACT, Terms())
    assert (change.bundle, change.retired, change.before) == (names[1], names[2], "retired")
    assert states(root) == {"one": "retired", "two": "live", "three": "retired"}
    assert rollback(root, PROFILE, ACT, Terms()).bundle == names[0]
    with pytest.raises(UsageError, match=f"no good bundle before {names[0]}, which stays live"):
        rollback(root, PROFILE, ACT, Terms())
    assert states(root)["one"] == "live"


def test_a_restored_bundle_that_gave_way_again_is_good_again(root):
    lifted(root, "one")
    lifted(root, "two")
    rollback(root, PROFILE, ACT, Terms())
    lifted(root, "three")
    assert find_entry(read_registry(root), "one").state == "retired"
    assert rollback(root, PROFILE, ACT, Terms()).bundle.startswith("one-")


def test_rollback_passes_over_what_is_damaged_and_says_so(root):
    names = [lifted(root, name).bundle for name in ("one", "two", "three")]
    (root / names[1] / "regime.onnx").unlink()
    change = rollback(root, PROFILE, ACT, Terms())
    assert change.bundle == names[0]
    assert len(change.passed_over) == 1
    assert names[1] in change.passed_over[0]
    assert "regime.onnx" in change.passed_over[0]


def test_rollback_to_nothing_but_damage_leaves_the_live_one(root):
    one, two = (lifted(root, name).bundle for name in ("one", "two"))
    shutil.rmtree(root / one)
    with pytest.raises(UsageError, match=rf"{two}, which stays live: {one}: .*manifest\.json"):
        rollback(root, PROFILE, ACT, Terms())
    assert states(root) == {"one": "retired", "two": "live"}


def test_a_profile_without_a_live_bundle_cannot_roll_back(root):
    added(root, "one")
    with pytest.raises(UsageError, match="profile strategic_only has no live bundle"):
        rollback(root, PROFILE, ACT, Terms())


def test_with_nothing_live_a_rollback_restores_the_last_good_one(root):
    one, two = (lifted(root, name) for name in ("one", "two"))
    file = root / one.bundle / "regime.onnx"
    whole = file.read_bytes()
    file.unlink()
    assert fall_back(root, PROFILE, two.sha256, "0" * 64, "late", Terms()) is not None
    assert read_registry(root).live(PROFILE) is None
    with pytest.raises(UsageError, match=f"no live bundle, .*: {one.bundle}: .*regime"):
        rollback(root, PROFILE, ACT, Terms())
    file.write_bytes(whole)
    change = rollback(root, PROFILE, ACT, Terms())
    assert (change.bundle, change.retired, change.state) == (one.bundle, None, "live")
    assert states(root) == {"one": "live", "two": "retired"}


def test_what_fell_after_a_promotion_had_retired_it_is_not_good(root):
    one, two, _three = (lifted(root, name) for name in ("one", "two", "three"))
    change = fall_back(root, PROFILE, two.sha256, one.sha256, "late", Terms())
    assert change is not None
    assert (change.bundle, change.state) == (two.bundle, "retired")
    last = find_entry(read_registry(root), "two").history[-1]
    assert (last.state, last.cause, last.person, last.reason) == (
        "retired", "rolled_back", "engine", "late",
    )  # fmt: skip
    assert fall_back(root, PROFILE, two.sha256, one.sha256, "late", Terms()) is None
    assert states(root)["three"] == "live"
    assert rollback(root, PROFILE, ACT, Terms()).bundle == one.bundle


def test_profiles_do_not_touch_each_other(root, tmp_path):
    one = lifted(root, "one").bundle
    source = named(tmp_path / "other", "other").path
    other = add_bundle(root, source, "full", ACT, Terms()).bundle
    for target in ("shadow", "live"):
        assert promote(root, other, target, ACT, Terms()).retired is None
    state = read_registry(root)
    assert (state.live(PROFILE).folder, state.live("full").folder) == (one, other)


def test_a_bundle_is_found_by_folder_name_and_hash_and_doubt_is_an_error(root):
    one = added(root, "one")
    again, two = added(root, "one", 0.6), added(root, "two")
    state = read_registry(root)
    assert find_entry(state, two).folder == find_entry(state, "two").folder == two
    assert find_entry(state, state.entries[0].sha256[:10]).folder == one
    with pytest.raises(UsageError, match="'one' fits 2 bundles") as error:
        find_entry(state, "one")
    assert again in str(error.value)
    with pytest.raises(UsageError, match="'three' is not registered"):
        find_entry(state, "three")


class Paper:
    """What a person would write down: states by name, and what gave way, the latest last."""

    def __init__(self, root, sources):
        self.root, self.sources = root, sources
        self.states, self.good = {}, []

    def live(self):
        return [name for name, state in self.states.items() if state == "live"]

    def add(self, index):
        name = f"model_{index}"
        if name in self.states:
            with pytest.raises(UsageError):
                add_bundle(self.root, self.sources[index], PROFILE, ACT, Terms())
            return
        add_bundle(self.root, self.sources[index], PROFILE, ACT, Terms())
        self.states[name] = "candidate"

    def promote(self, index, target):
        name = f"model_{index}"
        if target not in STEPS.get(self.states.get(name), ()):
            with pytest.raises(UsageError):
                promote(self.root, name, target, ACT, Terms())
            return
        promote(self.root, name, target, ACT, Terms())
        for other in self.live() if target == "live" else ():
            self.states[other] = "retired"
            self.good.append(other)
        self.states[name] = target

    def roll_back(self):
        live = self.live()
        if not self.good:
            with pytest.raises(UsageError):
                rollback(self.root, PROFILE, ACT, Terms())
            return
        change = rollback(self.root, PROFILE, ACT, Terms())
        restored = self.good.pop()
        assert change.bundle.startswith(restored + "-")
        self.states[live[0]] = "retired"
        self.states[restored] = "live"


STEPS = {"candidate": ("shadow", "retired"), "shadow": ("live", "retired")}
INDEX = st.integers(0, 3)
LIFT = st.tuples(st.just("lift"), INDEX)
ADD = st.tuples(st.just("add"), INDEX)
PROMOTE = st.tuples(st.just("promote"), INDEX, st.sampled_from(["shadow", "live", "retired"]))
ROLL_BACK = st.tuples(st.just("roll_back"))


def test_any_sequence_of_steps_is_what_a_person_would_write_down(tmp_path, monkeypatch):
    monkeypatch.setattr(
        registry, "verify_bundle", lambda path, *_: Verification(path=path, faults=())
    )
    sources = [named(tmp_path / f"source{i}", f"model_{i}").path for i in range(4)]
    runs = iter(range(10_000))

    @settings(max_examples=30, deadline=None)
    @given(st.lists(LIFT | ADD | PROMOTE | ROLL_BACK, max_size=20))
    def check(steps):
        paper = Paper(tmp_path / f"run_{next(runs)}", sources)
        for what, *arguments in steps:
            if what == "lift":
                paper.add(*arguments)
                paper.promote(*arguments, "shadow")
                paper.promote(*arguments, "live")
            else:
                getattr(paper, what)(*arguments)
            state = read_registry(paper.root)
            assert {entry.name: entry.state for entry in state.entries} == paper.states
            assert len(paper.live()) <= 1

    check()


def test_an_empty_registry_knows_nothing():
    with pytest.raises(UsageError, match="registered: none"):
        find_entry(RegistryState(), "one")
