import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from featkd.cache import FolderStore

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]


def _arrays(cache: Path) -> dict[str, dict[str, np.ndarray]]:
    """What is stored, bit for bit."""
    with FolderStore.open(cache) as store:
        rows = store.layout.row_numbers().tolist()
        names = [array.name for layer in store.layers().values() for array in layer.arrays]
        return {name: store.read_stored(name, rows) for name in names}


def _shard(cache: Path, array: str) -> Path:
    return min(path for path in (cache / "arrays" / array).iterdir() if path.name != "zarr.json")


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_show__table_and_json_agree(featkd: Featkd, workdir: Path) -> None:
    shown = json.loads(featkd("cache", "show", workdir / "cache", "--json").stdout)
    arrays = {array["name"]: array for array in shown["arrays"]}
    assert shown["backend"] == "zarr"
    assert shown["num_rows"] == 16
    assert set(shown["layers"]) == {"teacher", "representation"}
    assert "cvae" in shown["modules"]
    (name,) = [name for name in arrays if name.endswith(".full")]
    assert arrays[name]["dtype"] == "float16"
    assert 0 < arrays[name]["codec_error"]["relative_l2"] < 1e-3
    assert arrays["view_crc32"]["codec_error"] is None
    assert sum(array["num_bytes"] for array in arrays.values()) == shown["num_bytes"]
    files = (workdir / "cache" / "arrays").rglob("c.*")
    assert sum(path.stat().st_size for path in files) == shown["num_bytes"]
    text = featkd("cache", "show", workdir / "cache").stdout
    assert "zarr, 16 rows in 2 parts of 8" in text
    assert "layer teacher: 2 of 2 parts committed, 0 rows without data" in text
    for name in arrays:
        assert name in text
    (logits,) = [line for line in text.splitlines() if line.startswith("logits ")]
    assert "exact" in logits


def test_show__lists_rows_without_data(
    featkd: Featkd, tiny: Tiny, own_workdir: Path, tmp_path: Path
) -> None:
    next((own_workdir / "data" / "videos" / "train").rglob("*.mp4")).write_bytes(b"damaged")
    (own_workdir / "cache").rename(tmp_path / "away")
    assert featkd("extract", "demo", *tiny(own_workdir)).exit_code == 0
    text = featkd("cache", "show", own_workdir / "cache").stdout
    assert "layer teacher: 2 of 2 parts committed, 2 rows without data" in text
    assert "\n2 rows without data:\n  row " in text


def test_show__no_cache(featkd: Featkd, tmp_path: Path) -> None:
    result = featkd("cache", "show", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {tmp_path} is not a cache: it has no featkd.json; make one first: "
        "run featkd extract\n"
    )


def test_verify__sound_cache(featkd: Featkd, workdir: Path) -> None:
    result = featkd("cache", "verify", workdir / "cache")
    assert result.exit_code == 0, result.output
    assert "compared with their digests; 0 problems" in result.stdout
    found = json.loads(featkd("cache", "verify", workdir / "cache", "--json").stdout)
    assert found["damages"] == []
    assert found["num_bytes"] > 0
    assert found["replay"] is None


def test_verify__digests_tell_what_structure_does_not(featkd: Featkd, own_workdir: Path) -> None:
    cache = own_workdir / "cache"
    _flip_a_byte(_shard(cache, "logits"))
    assert featkd("cache", "verify", cache, "--structure-only").exit_code == 0
    result = featkd("cache", "verify", cache)
    assert result.exit_code == 1
    assert "arrays/logits/" in result.stdout
    assert "has another SHA-256" in result.stdout
    (damage,) = json.loads(featkd("cache", "verify", cache, "--json").stdout)["damages"]
    assert damage["layer"] == "teacher"
    assert damage["part"] == 0


def test_verify__missing_file_is_structure(featkd: Featkd, own_workdir: Path) -> None:
    _shard(own_workdir / "cache", "logits").unlink()
    result = featkd("cache", "verify", own_workdir / "cache", "--structure-only")
    assert result.exit_code == 1
    assert "is missing" in result.stdout


def test_verify__replay(featkd: Featkd, tiny: Tiny, workdir: Path) -> None:
    options = ("--replay", "demo", "--rows", 5, *tiny(workdir))
    result = featkd("cache", "verify", workdir / "cache", *options)
    assert result.exit_code == 0, result.output
    assert "5 rows replayed, 0 differences" in result.stdout
    found = json.loads(featkd("cache", "verify", workdir / "cache", "--json", *options).stdout)
    assert found["replay"]["num_rows"] == 5
    assert found["replay"]["worst_relative_l2"]["logits"] < 1e-4


def test_verify__replay_tells_another_video(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    first, second = sorted((own_workdir / "data" / "videos" / "train").rglob("*.mp4"))[:2]
    shutil.copy(second, first)
    options = ("--replay", "demo", *tiny(own_workdir))
    result = featkd("cache", "verify", own_workdir / "cache", *options)
    assert result.exit_code == 1
    assert f", {first.stem}: frames_crc32 is " in result.stdout


def test_verify__replay_of_another_recipes_cache(
    featkd: Featkd, tiny: Tiny, workdir: Path, own_workdir: Path
) -> None:
    options = ("--replay", "demo", *tiny(workdir))
    result = featkd("cache", "verify", own_workdir / "cache", *options)
    assert result.exit_code == 1
    assert str(workdir / "cache") in result.stderr
    assert "workdir" in result.stderr


def test_repair__damaged_part_is_made_again(
    featkd: Featkd, tiny: Tiny, workdir: Path, own_workdir: Path
) -> None:
    cache = own_workdir / "cache"
    _flip_a_byte(_shard(cache, "logits"))
    result = featkd("cache", "repair", "demo", *tiny(own_workdir))
    assert result.exit_code == 0, result.output
    assert "1 part written again" in result.stdout
    assert featkd("cache", "verify", cache).exit_code == 0
    np.testing.assert_array_equal(
        _arrays(cache)["logits"]["logits"], _arrays(workdir / "cache")["logits"]["logits"]
    )
    again = json.loads(featkd("cache", "repair", "demo", "--json", *tiny(own_workdir)).stdout)
    assert again["retracted"] == {}
    assert again["rows_recomputed"] == 0


def test_convert__there_and_back_is_bit_for_bit(
    featkd: Featkd, workdir: Path, tmp_path: Path
) -> None:
    expected = _arrays(workdir / "cache")
    there = featkd(
        "cache", "convert", workdir / "cache", tmp_path / "hdf5", "--backend", "hdf5", "--json"
    )
    assert there.exit_code == 0, there.output
    assert json.loads(there.stdout)["backend"] == "hdf5"
    back = featkd(
        "cache", "convert", tmp_path / "hdf5", tmp_path / "zarr", "--backend", "zarr",
        "--compression", "none",
    )  # fmt: skip
    assert back.exit_code == 0, back.output
    assert f"copied to {tmp_path / 'zarr'} (zarr, none): " in back.stdout
    for copy in ("hdf5", "zarr"):
        found = _arrays(tmp_path / copy)
        assert found.keys() == expected.keys()
        for name, arrays in expected.items():
            for key, values in arrays.items():
                assert found[name][key].tobytes() == values.tobytes()
        assert featkd("cache", "verify", tmp_path / copy).exit_code == 0
    assert set(json.loads(featkd("cache", "show", tmp_path / "zarr", "--json").stdout)["modules"])


def test_convert__serves_training(
    featkd: Featkd, tiny: Tiny, own_workdir: Path, tmp_path: Path
) -> None:
    (own_workdir / "cache").rename(tmp_path / "cache")
    copy = featkd(
        "cache", "convert", tmp_path / "cache", own_workdir / "cache", "--backend", "hdf5"
    )
    assert copy.exit_code == 0, copy.output
    result = featkd("distill", "demo", "--distiller", "generative", *tiny(own_workdir))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("destination", "expected"),
    [("cache", "is the cache itself"), ("students", "is not empty")],
)
def test_convert__refuses_a_folder_in_use(
    featkd: Featkd, own_workdir: Path, destination: str, expected: str
) -> None:
    (own_workdir / "students").mkdir()
    (own_workdir / "students" / "notes.txt").write_text("mine")
    result = featkd(
        "cache", "convert", own_workdir / "cache", own_workdir / destination, "--backend", "zarr"
    )
    assert result.exit_code == 1
    assert expected in result.stderr


def test_convert__copy_in_another_backend_is_no_copy(
    featkd: Featkd, workdir: Path, tmp_path: Path
) -> None:
    convert = ("cache", "convert", workdir / "cache", tmp_path / "copy", "--backend")
    assert featkd(*convert, "hdf5").exit_code == 0
    assert "were done already" in featkd(*convert, "hdf5").stderr
    result = featkd(*convert, "zarr")
    assert result.exit_code == 1
    assert "in hdf5; expected one in zarr" in result.stderr


def test_export__some_arrays_videos_and_views(
    featkd: Featkd, workdir: Path, tmp_path: Path
) -> None:
    with FolderStore.open(workdir / "cache") as store:
        table = store.rows
    chosen = sorted(table["video_id"].unique())[1:4]
    (tmp_path / "videos.txt").write_text("\n".join(chosen) + "\n\n")
    result = featkd(
        "cache", "export", workdir / "cache", tmp_path / "part", "--array", "logits",
        "--array", "view_crc32", "--videos", tmp_path / "videos.txt", "--num-views", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with FolderStore.open(tmp_path / "part") as store:
        rows = store.rows
        logits = store.read_rows("logits", range(store.num_rows))
        assert [a.name for la in store.layers().values() for a in la.arrays] == [
            "logits",
            "view_crc32",
        ]
        assert store.module_names() == []
    assert sorted(rows["video_id"]) == chosen
    assert set(rows["view_index"]) == {0}
    wanted = table[table["video_id"].isin(chosen) & (table["view_index"] == 0)]["row"]
    expected = _arrays(workdir / "cache")["logits"]["logits"][wanted.to_numpy()]
    np.testing.assert_array_equal(logits.numpy(), expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--array", "logits", "--array", "dreams"), "has no array dreams; it has logits, "),
        (("--videos", "{videos}"), "has no video 'nobody'"),
        (("--videos", "{missing}"), "does not exist"),
    ],
)
def test_export__unknown_names(
    featkd: Featkd, workdir: Path, tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "videos.txt").write_text("nobody\n")
    places = {"videos": tmp_path / "videos.txt", "missing": tmp_path / "missing.txt"}
    words = [word.format(**places) for word in options]
    result = featkd("cache", "export", workdir / "cache", tmp_path / "part", *words)
    assert result.exit_code == 1
    assert expected in result.stderr
    assert not (tmp_path / "part").exists()


def test_prune__keeps_what_the_recipe_needs(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    cache = own_workdir / "cache"
    before = _arrays(cache)
    untouched = featkd("cache", "prune", "demo", *tiny(own_workdir))
    assert untouched.exit_code == 0, untouched.output
    assert "0 B freed" in untouched.stdout
    assert _arrays(cache).keys() == before.keys()

    only_kd = tiny(own_workdir, distillers={"none": {"kind": "none"}, "kd": {"kind": "kd"}})
    dry = json.loads(featkd("cache", "prune", "demo", "--dry-run", "--json", *only_kd).stdout)
    assert _arrays(cache).keys() == before.keys()
    result = featkd("cache", "prune", "demo", "--json", *only_kd)
    assert result.exit_code == 0, result.output
    pruned = json.loads(result.stdout)
    assert {**dry, "dry_run": False} == pruned
    assert pruned["num_bytes"] > 0
    kept = {"logits", "view_crc32", "frames_crc32"}
    assert set(pruned["arrays"]) == before.keys() - kept
    after = _arrays(cache)
    assert after.keys() == kept
    np.testing.assert_array_equal(after["logits"]["logits"], before["logits"]["logits"])
    assert {path.name for path in (cache / "arrays").iterdir() if path.is_dir()} == kept
    assert featkd("cache", "verify", cache).exit_code == 0
    assert "was finished already" in featkd("extract", "demo", *only_kd).stdout
    result = featkd("distill", "demo", "--distiller", "kd", *only_kd)
    assert result.exit_code == 0, result.output


def test_prune__what_is_needed_again_is_extracted_again(
    featkd: Featkd, tiny: Tiny, workdir: Path, own_workdir: Path
) -> None:
    only_kd = tiny(own_workdir, distillers={"kd": {"kind": "kd"}})
    assert featkd("cache", "prune", "demo", *only_kd).exit_code == 0
    for stage in ("extract", "represent"):
        result = featkd(stage, "demo", *tiny(own_workdir))
        assert result.exit_code == 0, result.output
    expected, found = _arrays(workdir / "cache"), _arrays(own_workdir / "cache")
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for key, values in arrays.items():
            np.testing.assert_array_equal(found[name][key], values)


def test_prune__deletes_what_stopped_work_left(
    featkd: Featkd, tiny: Tiny, own_workdir: Path
) -> None:
    cache = own_workdir / "cache"
    for folder in ("arrays/features/Mixed_4f.full", "arrays/scales/old", "commits/teacher-2"):
        (cache / folder).mkdir(parents=True)
        (cache / folder / "left").write_bytes(bytes(100))
    result = featkd("cache", "prune", "demo", *tiny(own_workdir))
    assert result.exit_code == 0, result.output
    assert "300 B freed" in result.stdout
    assert "3 folders left by stopped work:" in result.stdout
    for folder in ("arrays/features/Mixed_4f.full", "arrays/scales", "commits/teacher-2"):
        assert not (cache / folder).exists()
    assert featkd("cache", "verify", cache).exit_code == 0


def test_distill__allowed_mismatch_is_recorded(
    featkd: Featkd, tiny: Tiny, own_workdir: Path
) -> None:
    changed = tiny(own_workdir, views__train__horizontal_flip=True)
    kd = ("distill", "demo", "--distiller", "kd", *changed)
    refused = featkd(*kd)
    assert refused.exit_code == 1
    assert "views.horizontal_flip" in refused.stderr
    allowed = featkd(*kd, "--allow-mismatch", "views.horizontal_flip")
    assert allowed.exit_code == 0, allowed.output
    assert "trained although views.horizontal_flip is False in the cache, True" in allowed.stderr
    summary = json.loads((own_workdir / "students" / "kd-seed0" / "summary.json").read_text())
    assert summary["allowed_mismatches"] == [
        {"field": "views.horizontal_flip", "cached": False, "expected": True}
    ]
    again = featkd(*kd, "--allow-mismatch", "views.horizontal_flip", "--json", "--quiet")
    (stage,) = json.loads(again.stdout)["stages"]
    assert "views.horizontal_flip" in stage["facts"]["allowed_mismatches"][0]


def test_distill__unknown_field_cannot_be_allowed(
    featkd: Featkd, tiny: Tiny, workdir: Path
) -> None:
    result = featkd(
        "distill", "demo", "--distiller", "kd", "--allow-mismatch", "colour", *tiny(workdir)
    )
    assert result.exit_code == 1
    assert "'colour' is no field" in result.stderr


def test_distill__committed_only(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    (own_workdir / "cache" / "commits" / "teacher" / "000001.json").unlink()
    kd = ("distill", "demo", "--distiller", "kd", *tiny(own_workdir))
    refused = featkd(*kd)
    assert refused.exit_code == 1
    assert "--committed-only" in refused.stderr
    result = featkd(*kd, "--committed-only")
    assert result.exit_code == 0, result.output
    summary = json.loads((own_workdir / "students" / "kd-seed0" / "summary.json").read_text())
    assert summary["num_clips"] == 4


def test_extract__prints_what_lossy_formats_did(featkd: Featkd, tiny: Tiny, workdir: Path) -> None:
    text = featkd("extract", "demo", *tiny(workdir)).stdout
    assert "what lossy number formats did to the teacher's answers:" in text
    lines = text[text.index("what lossy") :].splitlines()
    assert [line.split()[0] for line in lines[3:] if line.strip()] == [
        "features/Mixed_5c.full",
    ]
    (stage,) = json.loads(featkd("extract", "demo", *tiny(workdir), "--json").stdout)["stages"]
    assert set(stage["codec_errors"]) == {"features/Mixed_5c.full"}
    assert stage["codec_errors"]["features/Mixed_5c.full"]["cosine"] > 0.999
