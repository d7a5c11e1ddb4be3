"""splits: the paper's sizes, nothing on both sides, whole people held out."""

import numpy as np
import pytest

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import PEOPLE_BY, SCHEMES, make_split, n_folds, people_split

N, N_PEOPLE = 378, 12
EVERY_SCHEME = {
    "holdout": 1,
    "kfold": 5,
    "person": 12,
    "groups": 4,
    "all": 1,
    "people4": 5,
}  # and its folds


@pytest.fixture(scope="module")
def course_like() -> FaceSet:
    """Return a set of the course set's size: 189 + 189 images of 12 people, mixed."""
    rng = np.random.default_rng(0)
    return FaceSet(
        name="like",
        images=np.zeros((N, 30, 32), np.uint8),
        ids=np.arange(N).astype(str),
        labels=rng.permutation(np.arange(N) % 2).astype(np.int64),
        subjects=np.array([f"s{i + 1:02d}" for i in rng.permutation(np.arange(N) % N_PEOPLE)]),
    )


def every_split(faces):
    return [
        make_split(faces, scheme, fold=fold, split_seed=seed)
        for scheme, n in EVERY_SCHEME.items()
        for fold in range(n)
        for seed in (0, 1)
    ]


def test_a_split_is_disjoint_covers_all_and_is_sorted(course_like):
    for split in every_split(course_like):
        both = np.concatenate([split.train, split.val])
        assert sorted(both.tolist()) == list(range(N))
        assert (np.diff(split.train) > 0).all()
        assert (np.diff(split.val) > 0).all()
        assert split.train.dtype == split.val.dtype == np.int64


def test_every_scheme_has_its_folds(course_like):
    assert {scheme: n_folds(scheme, course_like) for scheme in EVERY_SCHEME} == EVERY_SCHEME
    assert set(EVERY_SCHEME) == {*SCHEMES, "people4"}


def test_groups_hold_out_each_person_once(course_like):
    held = [
        sorted(set(course_like.subjects[make_split(course_like, "groups", fold=fold).val]))
        for fold in range(4)
    ]
    assert [len(group) for group in held] == [3] * 4
    assert sorted(person for group in held for person in group) == sorted(set(course_like.subjects))


def test_the_hold_out_has_the_papers_sizes(course_like):
    split = make_split(course_like, "holdout")
    assert (len(split.train), len(split.val)) == (303, 75)


def test_the_hold_out_is_a_random_one(course_like):
    splits = [make_split(course_like, "holdout", split_seed=seed) for seed in range(40)]
    counts = np.bincount(np.concatenate([split.val for split in splits]), minlength=N)
    assert counts.max() <= 20  # every image is held out in about one split of five
    assert len({int(course_like.labels[split.val].sum()) for split in splits}) > 3  # not stratified


def test_kfold_holds_every_image_out_once_and_is_stratified(course_like):
    splits = [make_split(course_like, "kfold", fold=fold, split_seed=3) for fold in range(5)]
    held_out = np.concatenate([split.val for split in splits])
    assert sorted(held_out.tolist()) == list(range(N))
    assert sorted(len(split.val) for split in splits) == [75, 75, 76, 76, 76]
    for split in splits:
        n_sunglasses = course_like.labels[split.val].sum()
        assert n_sunglasses in (37, 38)
        assert len(split.val) - n_sunglasses in (37, 38)


def test_person_holds_out_exactly_one_person(course_like):
    people = sorted(set(course_like.subjects))
    assert n_folds("person", course_like) == len(people) == N_PEOPLE
    for fold, person in enumerate(people):
        split = make_split(course_like, "person", fold=fold)
        assert set(course_like.subjects[split.val]) == {person}
        assert person not in course_like.subjects[split.train]


@pytest.mark.parametrize("n_people", [1, 4, 11])
def test_people_k_trains_on_k_whole_people(course_like, n_people):
    drawn = set()
    for fold in range(5):
        split = make_split(course_like, f"people{n_people}", fold=fold)
        known = set(course_like.subjects[split.train])
        assert len(known) == n_people
        assert not known & set(course_like.subjects[split.val])
        drawn.add(tuple(sorted(known)))
    assert len(drawn) > 1


def test_all_keeps_every_row_for_training(course_like):
    split = make_split(course_like, "all")
    assert split.train.tolist() == list(range(N))
    assert split.val.size == 0


@pytest.mark.parametrize("scheme", ["holdout", "kfold", "people4"])
def test_the_split_seed_and_nothing_else_decides(course_like, scheme):
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    one = make_split(course_like, scheme, split_seed=1)
    np.random.seed(2)
    again = make_split(course_like, scheme, split_seed=1)
    other = make_split(course_like, scheme, split_seed=2)
    assert one.val.tolist() == again.val.tolist() != other.val.tolist()
    np.random.seed(1)
    assert np.array_equal(state, np.random.get_state()[1])


def unlabelled(faces):
    return FaceSet(name="test", images=faces.images, ids=faces.ids, subjects=faces.subjects)


def nameless(faces):
    return FaceSet(name="crowd", images=faces.images, ids=faces.ids, labels=faces.labels)


@pytest.mark.parametrize(
    ("change", "scheme", "fold", "message"),
    [
        (
            None,
            "loo",
            0,
            "no split scheme 'loo'; there are: holdout, kfold, person, groups, all, people1",
        ),
        (None, "kfold", 5, r"fold must be in \[0, 4\] for kfold, got 5"),
        (None, "person", 12, r"fold must be in \[0, 11\] for person, got 12"),
        (None, "people0", 0, "people0: like has 12 people, one must be left"),
        (None, "people12", 0, "people12: like has 12 people, one must be left"),
        (None, "people", 0, "no split scheme 'people'"),
        (None, "people-1", 0, "no split scheme 'people-1'"),
        (None, "people4", 5, r"fold must be in \[0, 4\] for people4, got 5"),
        (nameless, "people4", 0, "crowd: who is on the images is not known"),
        (None, "holdout", 1, r"fold must be in \[0, 0\] for holdout, got 1"),
        (None, "all", -1, r"fold must be in \[0, 0\] for all, got -1"),
        (unlabelled, "kfold", 0, "test: the labels are held back"),
        (unlabelled, "person", 0, "test: the labels are held back"),
        (nameless, "person", 0, "crowd: who is on the images is not known"),
    ],
)
def test_what_cannot_be_split_is_refused(course_like, change, scheme, fold, message):
    faces = change(course_like) if change else course_like
    with pytest.raises(SglibError, match=message):
        make_split(faces, scheme, fold=fold)


def test_unknown_people_are_no_obstacle_elsewhere(course_like):
    for scheme in ("holdout", "kfold", "all"):
        assert make_split(nameless(course_like), scheme).train.size


def test_both_ways_to_split_train_on_the_same_people(course_like):
    picture, person = (people_split(course_like, by, 9, seed=2) for by in PEOPLE_BY)
    parts = (person.train, person.val, picture.train, picture.val)
    seen, unseen, *both = (set(course_like.subjects[rows]) for rows in parts)
    assert len(seen) == 9
    assert not seen & unseen
    assert both == [seen, seen]
    assert not set(picture.train) & set(picture.val)
    assert sorted([*picture.train, *picture.val]) == sorted(person.train)
    assert len(picture.val) == pytest.approx(len(person.train) / 5, abs=1)
    with pytest.raises(SglibError, match="by picture or by person, got 'by hand'"):
        people_split(course_like, "by hand", 9)
