import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

Tiny = Callable[..., list[str]]


def _wait_for_videos(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.rglob("*.mp4"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no video appeared"
        time.sleep(0.02)


def test_interrupt__exits_130_with_a_hint_and_goes_on(tiny: Tiny, tmp_path: Path) -> None:
    many = {"train": 60, "val": 1, "test": 1}
    options = tiny(tmp_path, synthetic__videos_per_class=many, synthetic__size=64)
    command = [Path(sys.executable).with_name("featkd"), "synthesize", "demo", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_for_videos(tmp_path, process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    line = stderr.splitlines()[-1]
    assert line.startswith("Stopped. Everything finished so far is kept; go on with: featkd synth")
    num_kept = len(list(tmp_path.rglob("*.mp4")))
    assert num_kept < 124

    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, check=True, timeout=120
    )
    assert f"{num_kept} done earlier" in done.stderr
    assert json.loads(done.stdout)["stages"][0]["facts"]["num_videos"] == 124
