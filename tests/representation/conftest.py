import pytest
import torch


@pytest.fixture(autouse=True)
def seed():
    """Build every module from the same draw."""
    torch.manual_seed(0)
