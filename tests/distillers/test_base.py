import pytest
import torch

from featkd.distillers import LossTerm, LossTerms, Requirements
from featkd.types import TapSpec


def test_loss_terms__total_is_the_weighted_sum():
    values = torch.tensor([1.5, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    terms = LossTerms(
        tuple(
            LossTerm(name, weight, value)
            for name, weight, value in zip("abc", (1.0, 0.5, 0.0), values, strict=True)
        )
    )
    assert terms.total.item() == 2.5
    terms.total.backward()
    assert values.grad.tolist() == [1.0, 0.5, 0.0]
    assert terms.unweighted() == {"a": 1.5, "b": 2.0, "c": 4.0}
    assert not any(value.requires_grad for value in terms.unweighted().values())


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_loss_terms__names(names):
    with pytest.raises(ValueError, match="one or more, each once"):
        LossTerms(tuple(LossTerm(name, 1.0, torch.tensor(1.0)) for name in names))


def test_requirements__union_holds_each_item_once():
    tap, other = TapSpec("Mixed_5c", "full"), TapSpec("Mixed_4f", "spatial_attention")
    first = Requirements(logits=True, taps=(tap,), student_layers=("b",))
    second = Requirements(taps=(tap, other), modules=("cvae",), student_attention=True)
    union = first | second
    assert union == Requirements(
        logits=True,
        taps=(other, tap),
        modules=("cvae",),
        student_layers=("b",),
        student_attention=True,
    )
    assert union == second | first
