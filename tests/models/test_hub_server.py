"""The stand-in speaks as a hub does: huggingface_hub's own download takes it for one."""

import subprocess
import sys
from pathlib import Path

from support.hub_server import COMMIT, Fault, Repo, hub_server

CODE = """
import sys
from huggingface_hub import HfApi, snapshot_download
info = HfApi().model_info("org/model", files_metadata=True)
print(info.sha, [(file.rfilename, file.size, file.lfs and file.lfs.sha256) for file in info.siblings])
snapshot_download("org/model", local_dir=sys.argv[1])
"""


def test_the_librarys_own_download_gets_every_file(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "sub/model.gguf": b"GGUF" + bytes(100_000), "empty.txt": b""}
    with hub_server() as hub:
        hub.repos["org/model"] = Repo(files)
        hub.faults.append(Fault("/cdn/", cut_after=50_000, times=1))
        environment = {**hub.environment(), "HF_HOME": str(tmp_path / "hf"), "PATH": ""}
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(tmp_path / "got")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(COMMIT)
    assert {path: (tmp_path / "got" / path).read_bytes() for path in files} == files
