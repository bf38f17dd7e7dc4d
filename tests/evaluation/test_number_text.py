import pytest

from featkd.evaluation.number_text import (
    MINUS,
    duration,
    millions,
    percent,
    points,
    significant,
    size,
)


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (percent, 0.8744, "87.4"),
        (points, 0.0121, "+1.2"),
        (points, -0.0121, f"{MINUS}1.2"),
        (points, -0.0001, "0.0"),
        (duration, 8.34, "8.3 s"),
        (duration, 59.96, "1 min 00 s"),
        (duration, 245.2, "4 min 05 s"),
        (duration, 3599.9, "1 h 00 min"),
        (duration, 7800.0, "2 h 10 min"),
        (size, 512, "512 B"),
        (size, 3_565_158, "3.4 MiB"),
        (size, 5 * 2**39, "2.5 TiB"),
        (millions, 12_345_678, "12.35"),
        (significant, 0.5312, "0.531"),
        (significant, 12345.6, "12346"),
    ],
)
def test_number_text__written(write, value, text):
    assert write(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == text
