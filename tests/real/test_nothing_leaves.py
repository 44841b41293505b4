"""What an engine's libraries do besides reading slices: nothing that reaches the disk or the network."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

READ = """
import sys
from pathlib import Path
from appliance.inference.loading import load_engine

heard = []
sys.addaudithook(lambda event, _: heard.append(event) if event.startswith("socket.") else None)
load_engine(Path(sys.argv[1])).backend.close()
open_now = [str(place.readlink()) for place in Path("/proc/self/fd").iterdir() if place.is_symlink()]
print(len(heard), sum("socket:" in one for one in open_now))
"""


def test_loading_and_proving_the_engine_keeps_no_file_and_opens_no_connection(tmp_path: Path) -> None:
    homes = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", *homes)}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(ROOT / "engines" / "head-ct")],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
        env={**environment, **dict.fromkeys(homes, str(tmp_path)), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == []
    assert done.stdout.split() == ["0", "0"]


def test_onnxruntime_is_imported_in_the_one_place_that_silences_it() -> None:
    importing = [
        path.relative_to(ROOT / "appliance")
        for path in (ROOT / "appliance").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.split()[:1] in (["import"], ["from"]) and line.split()[1].partition(".")[0] == "onnxruntime"
    ]
    assert set(importing) == {Path("inference/runtime.py")}
