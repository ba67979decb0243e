"""Every notebook runs from top to bottom in an empty folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COLABS = sorted((Path(__file__).parents[1] / "colabs").glob("*.ipynb"))
_RUN = """
import sys
import nbclient, nbformat

notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("notebook", COLABS, ids=lambda file: file.stem)
def test_notebook_runs(notebook, tmp_path):
    shutil.copy(notebook, tmp_path)
    binaries = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([binaries, os.environ["PATH"]]),
        "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
        "XLA_FLAGS": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", _RUN, notebook.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / notebook.name).read_text()
    assert "error: " not in text, text[:3000]  # a command that failed
