from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.errors import ManifestError, UsageError
from featkd.manifest import Manifest, check_table, draw_splits
from featkd.manifest.kin import kin_of

ManifestOf = Callable[..., Manifest]
TIES = ("group", "path", "sha256")

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "class_name": st.sampled_from(["run", "jump"]),
            "group": st.none() | st.sampled_from("ghij"),
            "path": st.sampled_from("pqrstuvw"),
            "sha256": st.none() | st.sampled_from([digit * 64 for digit in "012"]),
        }
    ),
    min_size=1,
    max_size=24,
)
examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _splits(manifest: Manifest) -> dict[str, str]:
    table = manifest.table
    return dict(zip(table["video_id"], table["split"], strict=True))


def _kin_slowly(rows: list[dict]) -> set[frozenset[int]]:
    """Sets of rows, joined pair by pair until no two of them share a value."""
    sets = [{row} for row in range(len(rows))]

    def tied(one: set[int], other: set[int]) -> bool:
        return any(
            rows[i][tie] is not None and rows[i][tie] == rows[j][tie]
            for i in one
            for j in other
            for tie in TIES
        )

    while pair := next((pair for pair in combinations(sets, 2) if tied(*pair)), None):
        sets = [kin for kin in sets if kin not in pair] + [pair[0] | pair[1]]
    return {frozenset(kin) for kin in sets}


@examples
@given(rows=ROWS)
def test_kin_of__equals_joining_pair_by_pair(manifest_of: ManifestOf, rows: list[dict]) -> None:
    numbers = kin_of(manifest_of(rows)).tolist()
    found = {
        frozenset(row for row, other in enumerate(numbers) if other == number) for number in numbers
    }
    assert found == _kin_slowly(rows)
    assert list(dict.fromkeys(numbers)) == list(range(len(found)))


@examples
@given(rows=ROWS, seed=st.integers(0, 5))
def test_draw_splits__kin_stay_together(
    manifest_of: ManifestOf, rows: list[dict], seed: int
) -> None:
    manifest = manifest_of(rows)
    try:
        drawn = draw_splits(manifest, {"train": 0.5, "test": 0.5}, seed=seed)
    except ManifestError:
        assert len(_kin_slowly(rows)) < 3
        return
    split_of = _splits(drawn)
    for kin in _kin_slowly(rows):
        assert len({split_of[f"v{row}"] for row in kin}) == 1
    assert draw_splits(manifest, {"train": 0.5, "test": 0.5}, seed=seed).digest == drawn.digest


def _uneven(manifest_of: ManifestOf) -> Manifest:
    """Classes of 100, 20 and 5 groups, three rows a group."""
    rows = [
        {"class_name": name, "group": f"{name}{group}", "video_id": f"{name}/{group}/{take}"}
        for name, num_groups in {"run": 100, "jump": 20, "wave": 5}.items()
        for group in range(num_groups)
        for take in range(3)
    ]
    return manifest_of(rows)


def test_draw_splits__every_class_gets_its_share(manifest_of: ManifestOf) -> None:
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    table = draw_splits(_uneven(manifest_of), shares, seed=7).table
    counts = table.groupby(["class_name", "split"])["group"].nunique()
    for name, num_groups in {"run": 100, "jump": 20, "wave": 5}.items():
        for split, share in shares.items():
            assert abs(counts[name, split] - share * num_groups) <= 1, (name, split)


def test_draw_splits__classes_of_two_groups_do_not_all_go_one_way(
    manifest_of: ManifestOf,
) -> None:
    rows = [{"class_name": f"c{label}"} for label in range(50) for _ in range(2)]
    table = draw_splits(manifest_of(rows), {"train": 0.8, "test": 0.2}).table
    assert 15 <= (table["split"] == "test").sum() <= 25


def test_draw_splits__order_of_rows_does_not_matter(manifest_of: ManifestOf) -> None:
    rows = [{"video_id": f"v{row}", "path": f"{row}.mp4"} for row in range(30)]
    one = draw_splits(manifest_of(rows), {"a": 0.5, "b": 0.5}, seed=1)
    other = draw_splits(manifest_of(rows[::-1]), {"a": 0.5, "b": 0.5}, seed=1)
    assert _splits(one) == _splits(other)


def test_draw_splits__seeds_differ_and_all_are_sound(manifest_of: ManifestOf) -> None:
    manifest = _uneven(manifest_of)
    drawn = [draw_splits(manifest, {"train": 0.5, "test": 0.5}, seed=seed) for seed in range(3)]
    assert len({one.digest for one in drawn}) == 3
    assert [check_table(one) for one in drawn] == [[], [], []]
    assert drawn[0].header.protocol == (
        "groups drawn, stratified by class: train 0.5, test 0.5; seed 0"
    )


def test_draw_splits__of_one_split_leaves_the_others(manifest_of: ManifestOf) -> None:
    rows = [{"split": "test" if row % 4 == 0 else "train"} for row in range(40)]
    manifest = manifest_of(rows)
    drawn = draw_splits(manifest, {"train": 0.9, "val": 0.1}, of=["train"])
    before, after = _splits(manifest), _splits(drawn)
    assert {name for name, split in after.items() if split == "test"} == {
        name for name, split in before.items() if split == "test"
    }
    assert list(after.values()).count("val") == 3
    assert drawn.header.protocol.startswith("by hand; of train, groups drawn")


def test_draw_splits__refuses_to_tear_kin_apart(manifest_of: ManifestOf) -> None:
    rows = [{"split": "test", "group": "g"}, {"split": "train", "group": "g"}, {}]
    with pytest.raises(ManifestError, match=r"'v0' of split 'test', .* with 'v1' of split 'train'"):
        draw_splits(manifest_of(rows), {"train": 0.5, "val": 0.5}, of=["train"])


def test_draw_splits__refuses_a_split_without_rows(manifest_of: ManifestOf) -> None:
    rows = [{"group": "g"}, {"group": "g"}]
    with pytest.raises(
        ManifestError, match=r"split 'test' of 0.5 is left without rows: there are 1"
    ):
        draw_splits(manifest_of(rows), {"train": 0.5, "test": 0.5})


@pytest.mark.parametrize(
    ("shares", "of", "expected"),
    [
        ({"train": 0.5}, None, "expected 1"),
        ({"train": 1.5, "test": -0.5}, None, "fraction 1.5"),
        ({"train": 1.0}, ["dev"], "split 'dev' has no rows; expected one of train"),
    ],
)
def test_draw_splits__wrong_arguments(
    manifest_of: ManifestOf, shares: dict[str, float], of: list[str] | None, expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        draw_splits(manifest_of([{}, {}]), shares, of=of)
