import pytest
from pydantic import ValidationError

from featkd.distillers import CombinedConfig, KDConfig
from featkd.errors import RecipeError
from featkd.recipes import load_any_recipe
from featkd.recipes.base_table import candidate_name, with_setting
from featkd.recipes.table import RowSpec, TableSpec, load_table, shipped_tables

KD = {"label": "KD", "distiller": {"kind": "kd"}, "baseline": None}


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4", "table5"])
def test_shipped_tables__load_with_their_recipes(name):
    table = load_table(name)
    assert table.name == name
    for source in (*table.full, *table.mini):
        assert load_any_recipe(source).task == table.task
    budgets = {len(row.search.values) for row in table.rows.values() if row.search}
    assert budgets <= {5}, "every method gets the same number of values"


def test_shipped_tables__a_run_name_means_one_thing():
    """Tables share a work folder, so that a student of two of them is trained once."""
    seen = {}
    for table in shipped_tables().values():
        if table.task == "detection":  # its recipes have other work folders
            continue
        for name, row in table.rows.items():
            model = row.model or "top_i3d"
            assert seen.setdefault(name, (row.distiller, model)) == (row.distiller, model), name


def test_load_table__unknown():
    with pytest.raises(RecipeError, match=r"'table9' is not a table; expected one of table1"):
        load_table("table9")


def test_with_setting():
    config = with_setting(KDConfig(), "tau", 2.0)
    assert config == KDConfig(tau=2.0)
    nested = CombinedConfig(parts={"soft": {"kind": "kd"}})
    changed = with_setting(nested, "parts.soft.kd_weight", 3.0)
    assert changed == CombinedConfig(parts={"soft": {"kind": "kd", "kd_weight": 3.0}})


@pytest.mark.parametrize("key", ["temperature", "tau.tau", "parts.soft"])
def test_with_setting__there_is_none(key):
    with pytest.raises(ValueError, match=f"no setting '{key}'"):
        with_setting(KDConfig(), key, 1.0)


@pytest.mark.parametrize(
    ("value", "name"), [(0.32, "kd+0.32"), (1.0, "kd+1"), (1e-5, "kd+0.00001"), (450.0, "kd+450")]
)
def test_candidate_name(value, name):
    assert candidate_name("kd", value) == name


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**KD, "search": {"key": "weight", "values": [1, 2]}}, "no setting 'weight'"),
        ({**KD, "search": {"key": "tau", "values": [0, 1]}}, "greater than 0"),
        ({**KD, "search": {"key": "tau", "values": [1]}}, "at least 2"),
        ({**KD, "model": "resnet"}, "i3d"),
    ],
)
def test_row_spec__wrong(row, message):
    with pytest.raises(ValidationError, match=message):
        RowSpec.model_validate(row)


def test_table_spec__baseline_that_is_no_row():
    with pytest.raises(ValidationError, match=r"rows\.kd\.baseline is 'none'"):
        TableSpec(name="t", title="t", full=(), mini=(), rows={"kd": {**KD, "baseline": "none"}})
