"""Every column is explained, and every figure is a column."""

from dataclasses import fields

from likeness.evaluate.catalogue import COLUMNS
from likeness.evaluate.figures import Figures
from likeness.evaluate.metrics import RECIPES


def test_every_figure_is_a_column_with_a_recipe():
    assert set(COLUMNS) == {f.name for f in fields(Figures)} - {"row"}
    for column in COLUMNS.values():
        assert column.recipe_id == RECIPES[column.recipe] and column.recipe_id.rpartition("/")[2].isdigit()
        assert column.title and column.digits >= 0
    assert len({column.title for column in COLUMNS.values()}) == len(COLUMNS)
    assert len(set(RECIPES.values())) == len(RECIPES)
