import json

import numpy as np
import pytest

from featkd.cache.sealed_json import seal, unseal

CONTENT = {"layer": "teacher", "rows": [0, 64], "seconds": {"teacher": 0.5}, "name": "naïve"}


def test_seal__is_json_that_begins_with_its_digest() -> None:
    content = json.loads(seal(CONTENT))
    assert next(iter(content)) == "sha256"
    assert len(content.pop("sha256")) == 64
    assert content == CONTENT


def test_unseal__gives_back_what_was_sealed() -> None:
    assert unseal(seal(CONTENT)) == CONTENT
    assert unseal(seal({})) == {}


def test_unseal__a_digest_within_the_content_is_content() -> None:
    for text in ("0" * 64, "f" * 64, '{ "sha256": "' + "0" * 64):
        assert unseal(seal({"text": text})) == {"text": text}


def test_unseal__refuses_every_flipped_byte() -> None:
    data = seal(CONTENT)
    masks = np.random.default_rng(0).integers(1, 256, len(data)).tolist()
    for position, mask in enumerate(masks):
        spoilt = bytearray(data)
        spoilt[position] ^= mask
        with pytest.raises(ValueError, match="digest"):
            unseal(bytes(spoilt))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda data: data + b" ", "does not have the digest", id="longer"),
        pytest.param(lambda data: data[:-1], "does not have the digest", id="shorter"),
        pytest.param(lambda data: data.replace(b"64", b"63"), "does not have", id="edited"),
        pytest.param(lambda data: json.dumps(CONTENT).encode(), "does not begin", id="unsealed"),
        pytest.param(lambda data: b"", "does not begin", id="empty"),
    ],
)
def test_unseal__refuses_what_was_not_sealed(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        unseal(change(seal(CONTENT)))
