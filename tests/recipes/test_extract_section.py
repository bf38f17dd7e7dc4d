import pytest

from featkd.recipes.extract_section import ExtractSection


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, ("float16", "lz4"), id="zarr"),
        pytest.param({"backend": "hdf5"}, ("float16", "gzip"), id="hdf5"),
        pytest.param({"backend": "hdf5", "compression": "zstd"}, ("float16", "zstd"), id="chosen"),
        pytest.param(
            {"compression": "zstd", "codecs": {"Mixed_5c.full": {"dtype": "bfloat16"}}},
            ("bfloat16", "zstd"),
            id="exception of the number format",
        ),
        pytest.param(
            {"codecs": {"Mixed_5c.full": {"dtype": "float32", "compression": "none"}}},
            ("float32", "none"),
            id="exception of the compression",
        ),
    ],
)
def test_codec__of_a_tap(settings, expected):
    assert ExtractSection.model_validate(settings).codec("Mixed_5c.full") == expected


def test_codec__of_logits_is_exact():
    assert ExtractSection().codec("logits") == ("float32", "lz4")
