import itertools
import json
import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.errors import UsageError
from featkd.evaluation import Group, compare, read_run


def group_of(comparison, name) -> Group:
    (group,) = (group for group in comparison.groups if group.name == name)
    return group


@pytest.fixture
def runs_with(write_run, tmp_path):
    """Return a function from {(name, seed): hits of 40} to runs, each in a folder of its own."""
    fresh = itertools.count()

    def build(results, **options):
        return [
            read_run(
                write_run(
                    name,
                    seed,
                    hits,
                    folder=tmp_path / str(next(fresh)) / f"{name}-seed{seed}",
                    **options,
                )
            )
            for (name, seed), hits in results.items()
        ]

    return build


def test_compare__known_by_hand(runs_with):
    comparison = compare(
        runs_with({("kd", 0): 30, ("kd", 1): 26, ("none", 0): 20, ("none", 1): 24, ("none", 2): 4})
    )

    kd, none = group_of(comparison, "kd"), group_of(comparison, "none")
    assert [(result.seed, result.top1) for result in kd.results] == [(0, 0.75), (1, 0.65)]
    assert kd.mean == pytest.approx(0.70)
    assert kd.deviation == pytest.approx(math.sqrt(2 * 0.05**2))
    assert (kd.lowest, kd.highest) == (0.65, 0.75)
    assert none.mean == pytest.approx(0.4)
    # Paired over seeds 0 and 1 alone: seed 2 of the baseline has no partner.
    assert kd.difference.num_pairs == 2
    assert kd.difference.mean == pytest.approx((0.25 + 0.05) / 2)
    assert kd.difference.deviation == pytest.approx(math.sqrt(2 * 0.1**2))
    assert none.difference is None
    # 2.5 x chance is 0.625.
    assert (kd.took_off, none.took_off) == (2, 0)
    assert (kd.parameters, kd.gmac, kd.seconds) == (812_345, 0.53, 81.2)
    assert (comparison.chance, comparison.num_videos) == (0.25, 40)


def test_compare__one_seed_has_no_deviation(runs_with):
    kd = group_of(compare(runs_with({("kd", 0): 30, ("none", 0): 20})), "kd")

    assert kd.deviation is None
    assert kd.difference.deviation is None
    assert kd.difference.num_pairs == 1


def test_compare__without_common_seeds_the_difference_is_marked_unpaired(runs_with):
    kd = group_of(compare(runs_with({("kd", 5): 30, ("none", 0): 20, ("none", 1): 10})), "kd")

    assert kd.difference.num_pairs == 0
    assert kd.difference.mean == pytest.approx(0.75 - 0.375)


def test_compare__baseline_has_the_same_model(runs_with):
    small = runs_with({("kd", 0): 30, ("none", 0): 20}, model="small")
    large = runs_with({("kd", 0): 38, ("at", 0): 39}, model="large")

    groups = {(g.name, g.model): g for g in compare([*small, *large]).groups}

    assert groups["kd", "small"].difference.mean == pytest.approx(0.25)
    assert groups["kd", "large"].difference is None


def test_compare__order_is_teacher_baseline_names(runs_with):
    students = runs_with({("none", 0): 20, ("kd", 0): 30, ("at", 1): 25, ("at", 0): 28})
    teacher = runs_with({("zeta", 0): 39}, kind="teacher", model="i3d")
    representation = runs_with({("ours", 0): 0}, kind="representation")
    runs = [*students, *teacher, *representation]
    expected = compare(runs).to_json()

    random.Random(4).shuffle(runs)  # noqa: S311

    assert compare(runs).to_json() == expected
    assert [group.name for group in compare(runs).groups] == ["zeta", "none", "at", "kd"]
    assert json.loads(json.dumps(expected))["groups"][2]["results"][1]["seed"] == 1


def test_compare__took_off_counts_seeds_beyond_chance(runs_with):
    classes = [f"class {k}" for k in range(10)]
    runs = runs_with({("kd", 0): 10, ("kd", 1): 11, ("kd", 2): 40}, classes=classes)

    # 2.5 x chance is 10 of 40 videos.
    assert group_of(compare(runs), "kd").took_off == 2


def test_compare__took_off_means_nothing_with_two_classes(runs_with):
    runs = runs_with({("kd", 0): 40}, classes=["walk", "run"])

    assert group_of(compare(runs), "kd").took_off is None


def test_compare__unfinished_runs_are_named(runs_with):
    kd = group_of(compare(runs_with({("kd", 0): 30, ("kd", 1): None})), "kd")

    assert [result.seed for result in kd.results] == [0]
    assert [folder.endswith("kd-seed1") for folder in kd.unfinished] == [True]
    assert kd.model == "top_i3d"


def test_compare__nothing_evaluated(runs_with):
    comparison = compare(runs_with({("kd", 0): None}))

    kd = group_of(comparison, "kd")
    assert (kd.mean, kd.took_off, kd.model, comparison.chance) == (None, None, "", None)


def test_compare__refuses_a_seed_twice(runs_with):
    runs = [*runs_with({("kd", 0): 30}), *runs_with({("kd", 0): 31})]

    with pytest.raises(UsageError, match="both kd with seed 0"):
        compare(runs)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"num_videos": 44}, "num_videos"), ({"classes": ["a", "b", "c", "d"]}, "classes")],
    ids=["videos", "classes"],
)
def test_compare__refuses_different_tests(runs_with, options, field):
    runs = [*runs_with({("kd", 0): 30}), *runs_with({("at", 0): 30}, **options)]

    with pytest.raises(UsageError, match=f"{field} of its evaluation"):
        compare(runs)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None
)
@given(
    st.dictionaries(st.integers(0, 5), st.integers(0, 40), min_size=1, max_size=4),
    st.dictionaries(st.integers(0, 5), st.integers(0, 40), min_size=1, max_size=4),
)
def test_compare__matches_slow_statistics(runs_with, method, baseline):
    runs = runs_with(
        {("kd", seed): hits for seed, hits in method.items()}
        | {("none", seed): hits for seed, hits in baseline.items()}
    )

    kd = group_of(compare(runs), "kd")

    top1 = [hits / 40 for hits in method.values()]
    mean = sum(top1) / len(top1)
    assert kd.mean == pytest.approx(mean)
    if len(top1) == 1:
        assert kd.deviation is None
    else:
        variance = sum((value - mean) ** 2 for value in top1) / (len(top1) - 1)
        assert kd.deviation == pytest.approx(math.sqrt(variance))
    pairs = [method[seed] - baseline[seed] for seed in method if seed in baseline]
    assert kd.difference.num_pairs == len(pairs)
    if pairs:
        assert kd.difference.mean == pytest.approx(sum(pairs) / len(pairs) / 40)
