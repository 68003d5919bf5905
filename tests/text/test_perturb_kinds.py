"""What each ready kind does, what it refuses, and that chance depends on the seed and the texts alone."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.text import perturb
from mechviz.text.perturb import as_perturbation, on_query, perturbation
from mechviz.text.sentences import sentences
from mechviz.text.words import terms
from tests.text.test_perturb_changes import DOC, KINDS, QUERY

DOC_BY_HAND = "Hot springs are warm, e.g. at 40.5 degrees. Mud is hot! Lava of 1990 came to 12 towns."
QUERY_BY_HAND = "what are hot springs"
NUMBER = r"(?<!\w)\d+(?:[.,]\d+)*"
LISTED = ["Cats purr.", "Dogs bark.", "Fish swim."]
SEEDED = {
    "repeat": lambda seed: perturb.repeat("volcano", 2, where="random", seed=seed),
    "add_sentences": lambda seed: perturb.add_sentences(LISTED, 2, where="random", seed=seed),
    "shuffle_words": lambda seed: perturb.shuffle_words(seed=seed),
    "shuffle_sentences": lambda seed: perturb.shuffle_sentences(seed=seed),
    "swap_numbers": lambda seed: perturb.swap_numbers(seed=seed),
    "other_numbers": lambda seed: perturb.swap_numbers("others", seed=seed),
    "synonym": lambda seed: perturb.synonym({"hot": ["warm", "heated"], "mud": ["dirt", "mire"]}, seed=seed),
    "append_query_term": lambda seed: perturb.append_query_term(seed=seed),
}
seeded = pytest.mark.parametrize("make", SEEDED.values(), ids=SEEDED)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (perturb.repeat("lava", 3), "hot mud. Cold mud. lava lava lava"),
        (perturb.repeat("lava", 2, where="start"), "lava lava hot mud. Cold mud."),
        (perturb.concatenate(3), "hot mud. Cold mud. hot mud. Cold mud. hot mud. Cold mud."),
        (perturb.shuffle_sentences(), "Cold mud. hot mud."),
        (perturb.add_sentences(["Cats purr."], where="start"), "Cats purr. hot mud. Cold mud."),
        (perturb.add_sentences(["Cats purr."]), "hot mud. Cold mud. Cats purr."),
    ],
)
def test_kinds_by_hand(change, expected):
    assert change("hot mud. Cold mud.") == expected


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (perturb.repeat("lava", 3), "repeat('lava', 3)"),
        (perturb.repeat("lava", 3, "random", seed=1), "repeat('lava', 3, where='random', seed=1)"),
        (perturb.concatenate(2), "concatenate(2)"),
        (perturb.shuffle_words(seed=4), "shuffle_words(seed=4)"),
        (perturb.swap_numbers("others"), "swap_numbers('others', seed=0)"),
        (perturb.append_query_term(2), "append_query_term(2)"),
        (perturb.terms_apart(), "terms_apart()"),
        (perturb.terms_apart(ignore=["hot"]), "terms_apart(ignore=['hot'])"),
        (perturb.synonym({"hot": "warm"}), "synonym({'hot': 'warm'}, 'all', seed=0)"),
        (on_query(perturb.shuffle_words()), "on_query(shuffle_words(seed=0))"),
    ],
)
def test_names_are_the_calls(change, name):
    assert repr(change) == change.name == name


def test_random_places_lie_between_words_and_sentences():
    for seed in range(20):
        text = SEEDED["repeat"](seed)(DOC_BY_HAND)
        assert text.split().count("volcano") == 2
        assert [word for word in text.split() if word != "volcano"] == DOC_BY_HAND.split()
        added = SEEDED["add_sentences"](seed)(DOC_BY_HAND)
        parts = [added[start:end] for start, end in sentences(added)]
        assert [part for part in parts if part not in LISTED] == [DOC_BY_HAND[start:end] for start, end in sentences(DOC_BY_HAND)]
        assert len({part for part in parts if part in LISTED}) == 2


@pytest.mark.parametrize(
    "kind", [perturb.shuffle_words(), perturb.shuffle_sentences(), perturb.terms_together(), perturb.terms_apart()]
)
@settings(deadline=None)
@given(doc=DOC, query=QUERY)
def test_words_are_only_moved(kind, doc, query):
    try:
        changed = kind.apply(query, doc)
    except InputError:
        return
    assert Counter(terms(changed)) == Counter(terms(doc))
    assert Counter("".join(changed.split())) == Counter("".join(doc.split()))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["lava。", "熱い。", "last", "Title\n\n", "x!"]), min_size=2))
def test_shuffled_sentences_do_not_run_together(parts):
    doc = "".join(parts)
    try:
        changed = perturb.shuffle_sentences().apply("q", doc)
    except InputError:
        return
    assert Counter(terms(changed)) == Counter(terms(doc))


@settings(deadline=None)
@given(DOC, st.integers())
def test_swapped_numbers_are_the_same_numbers(doc, seed):
    numbers = re.findall(NUMBER, doc)
    change = perturb.swap_numbers(seed=seed)
    if len(set(numbers)) < 2:
        with pytest.raises(InputError, match=r"no number|one number only"):
            change.apply("q", doc)
        return
    swapped = re.findall(NUMBER, change.apply("q", doc))
    assert sorted(swapped) == sorted(numbers)
    assert swapped != numbers
    assert re.sub(NUMBER, "#", change(doc)) == re.sub(NUMBER, "#", doc)


@settings(deadline=None)
@given(st.integers())
def test_other_numbers_look_alike(seed):
    doc = "In 1990, 3.50 m of H2O; 7 or 007 or 1,200 or ٤٢ (1990)."
    changed = perturb.swap_numbers("others", seed=seed)(doc)
    parts = re.fullmatch(
        r"In ([1-9]\d{3}), ([1-9]|0)\.(\d\d) m of H2O; (\d) or (\d{3}) or ([1-9],\d{3}) or ([١-٩][٠-٩]) \((\d{4})\)\.", changed
    )
    assert parts is not None
    assert parts[1] == parts[8] != "1990"
    assert all(new != old for new, old in zip(parts.groups()[3:7], ["7", "007", "1,200", "٤٢"], strict=True))


@seeded
def test_another_seed_is_another_draw(make):
    assert len({make(seed).apply(QUERY_BY_HAND, DOC_BY_HAND) for seed in range(12)}) > 1


@seeded
def test_a_draw_does_not_depend_on_the_calls_before(make):
    first = make(3)
    expected = first.apply(QUERY_BY_HAND, DOC_BY_HAND)
    first.apply(QUERY_BY_HAND, f"{DOC_BY_HAND} Hot or cold?")
    assert first.apply(QUERY_BY_HAND, DOC_BY_HAND) == make(3).apply(QUERY_BY_HAND, DOC_BY_HAND) == expected


@pytest.mark.parametrize("name", ["shuffle_words", "add_sentences", "repeat", "other_numbers"])
def test_a_draw_without_the_query_is_the_same_for_every_query(name):
    change = SEEDED[name](0)
    assert change(DOC_BY_HAND) == change.apply("hot", DOC_BY_HAND) == change.apply("cold", DOC_BY_HAND)


def test_the_same_seed_draws_anew_for_another_text():
    orders = set()
    for number in range(20):
        words = [f"{letter}{number}" for letter in "abcdef"]
        changed = perturb.shuffle_words()(" ".join(words)).split()
        orders.add(tuple(words.index(word) for word in changed))
    assert len(orders) > 10
    drawn = {perturb.append_query_term().apply("hot cold wet dry", f"doc {number}").split()[-1] for number in range(40)}
    assert drawn == {"hot", "cold", "wet", "dry"}


def test_draws_stay_as_they_were_published():
    # not a law: a change here changes the results of everybody's studies, and has to be said in the change log
    assert perturb.shuffle_words(seed=0)("a b c d e f") == "c a b e d f"


DRAWING = """
import json, pickle, sys
sys.stdin.reconfigure(encoding="utf-8")
given = json.loads(sys.stdin.read())
kinds = pickle.loads(bytes.fromhex(given["kinds"]))
print(json.dumps([kind.change(given["query"], given["doc"]).__dict__ for kind in kinds]))
"""


def test_a_fresh_process_draws_the_same():
    kinds = [*(make(5) for make in SEEDED.values()), *KINDS]
    doc = f"{DOC_BY_HAND} A volcano had hot springs of lava, 火."
    query = "hot springs of lava"
    given_there = json.dumps({"kinds": pickle.dumps(kinds).hex(), "query": query, "doc": doc})
    for hash_seed in ("1", "2"):
        said = subprocess.run(
            [sys.executable, "-c", DRAWING],
            input=given_there.encode(),
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        assert json.loads(said) == json.loads(json.dumps([kind.change(query, doc).__dict__ for kind in kinds]))


@pytest.mark.parametrize("kind", [*KINDS, on_query(perturb.append("lava")), as_perturbation("other")], ids=repr)
def test_ready_ones_can_be_pickled_and_compared(kind):
    again = pickle.loads(pickle.dumps(kind))
    assert again == kind
    assert hash(again) == hash(kind)
    assert again.apply("hot springs of lava", "Hot 1 springs. 火 lava, 2 hot") == kind.apply(
        "hot springs of lava", "Hot 1 springs. 火 lava, 2 hot"
    )


@perturbation
def shout(doc):
    return doc.upper()


@on_query
def shout_query(query):
    return query.upper()


def whisper(doc):
    return doc.lower()


@pytest.mark.parametrize("kind", [shout, shout_query, perturbation(whisper), on_query(shout)])
def test_a_persons_own_functions_can_be_pickled(kind):
    again = pickle.loads(pickle.dumps(kind))
    assert again == kind
    assert again.apply("Hot", "Mud") == kind.apply("Hot", "Mud")


@pytest.mark.parametrize(
    ("kind", "doc", "words"),
    [
        (perturb.swap_numbers(), "hot mud H2O", "no number"),
        (perturb.swap_numbers("others"), "hot mud", "no number"),
        (perturb.swap_numbers(), "12 or 12", "one number only, 12"),
        (perturb.shuffle_sentences(), "One sentence.", "two different sentences"),
        (perturb.shuffle_sentences(), "Hot. Hot.", "two different sentences"),
        (perturb.shuffle_words(), "hot hot", "two different words"),
        (perturb.synonym({"lava": "magma"}), "hot mud", "no term"),
        (perturb.synonym({"mud": "mire"}, which="query"), "hot mud", "that is in 'hot springs'"),
        (perturb.terms_together(), "hot mud", "has hot of the terms"),
        (perturb.terms_apart(), "mud", "has none of the terms"),
        (perturb.append_query_term(2), "mud", "2 words"),
        (on_query(perturb.append_query_term()), "the", "no words but stop words"),
    ],
)
def test_what_cannot_be_done_is_said(kind, doc, words):
    for method in (kind.apply, kind.change):
        with pytest.raises(InputError, match=words):
            method("hot springs", doc)


@pytest.mark.parametrize(
    "kind", [perturb.append_query_term(), perturb.terms_together(), perturb.terms_apart(), perturb.synonym({"a": "b"}, "query")]
)
def test_what_needs_the_query_asks_for_it(kind):
    with pytest.raises(InputError, match="needs the query"):
        kind("hot mud")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: perturb.repeat("lava", 0), InputError, "repeat(times) is 0; give 1"),
        (lambda: perturb.repeat("lava", True), InputTypeError, "repeat(times)"),
        (lambda: perturb.repeat("", 1), InputError, "repeat(term) is empty"),
        (lambda: perturb.repeat("lava", 2, where="middle"), InputError, "'end', 'start', 'random'"),
        (lambda: perturb.insert("lava", at="1"), InputTypeError, "insert(at)"),
        (lambda: perturb.concatenate(1), InputError, "concatenate(copies) is 1; give 2"),
        (lambda: perturb.shuffle_words(seed=1.5), InputTypeError, "shuffle_words(seed)"),
        (lambda: perturb.swap_numbers("all"), InputError, "'among', 'others'"),
        (lambda: perturb.add_sentences("Cats purr."), InputTypeError, "must be a list of texts"),
        (lambda: perturb.add_sentences({"Cats purr."}), InputTypeError, "must be a list of texts"),
        (lambda: perturb.add_sentences(["Cats purr.", 3]), InputTypeError, "add_sentences(sentences)[1]"),
        (lambda: perturb.add_sentences(["Cats purr."], 2), InputError, "give at least 2"),
        (lambda: perturb.append_query_term("first"), InputError, "'random', 'rarest'"),
        (lambda: perturb.append_query_term("rarest"), InputError, "needs it"),
        (lambda: perturb.append_query_term(statistics={"hot": 1}), InputError, "goes with which='rarest'"),
        (lambda: perturb.append_query_term("rarest", {"hot": 1}), InputTypeError, "must be TermStatistics"),
        (lambda: perturb.append_query_term("rarest", mv.TermStatistics.of(["a"], str.split)), InputError, "other terms"),
        (lambda: perturb.terms_apart(ignore="the"), InputTypeError, "terms_apart(ignore)"),
        (lambda: perturb.synonym(["hot"]), InputTypeError, "must be a mapping"),
        (lambda: perturb.synonym({}), InputError, "is empty"),
        (lambda: perturb.synonym({"hot": []}), InputError, "synonym(table)['hot'] is empty"),
        (lambda: perturb.synonym({"hot": {"warm"}}), InputTypeError, "synonym(table)['hot']"),
        (lambda: perturb.synonym({"hot": "warm", "Hot": "mild"}), InputError, "'hot' twice"),
        (lambda: perturb.synonym({"?": "warm"}), InputError, "no term"),
        (lambda: perturb.synonym({"hot": "warm"}, which="some"), InputError, "'all', 'query', 'random'"),
    ],
)
def test_bad_settings_are_refused_when_it_is_made(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()
