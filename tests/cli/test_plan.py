"""`smarties plan` on the devices of this process."""

from pathlib import Path

import pytest

TINY = Path(__file__).parents[1] / "faults" / "tiny.py"


@pytest.mark.slow
def test_memory_communication_and_time_are_told(command):
    arguments = ("--config.mesh.fsdp=4", "--hardware", "h100", "--hardware", "tpu-v5e")
    result = command("plan", "--config", TINY, "--devices", 8, *arguments)
    assert result.code == 0, result.err
    assert "on 8 devices (data 2 x fsdp 4 x tensor 1)" in result.out
    for text in ("optimiser", "all-gather over fsdp", "all-reduce over data x fsdp", "80 GB"):
        assert text in result.out
    assert "UNFORESEEN" not in result.out and "h200" not in result.out


def test_mistakes_are_one_line(mistake):
    def line(*arguments):
        return mistake("plan", "--config", TINY, *arguments)

    assert "did you mean 'h100'" in line("--devices", 8, "--hardware", "h10")
    assert "8 devices already" in line("--devices", 9)
    assert "one or more" in line("--devices", 0)
    assert "above 0" in line("--devices", 8, "--efficiency", 0)
    assert "multiple of 8 devices" in line("--devices", 8, "--config.batch_size=12")
    assert "does not fit 8 devices" in line("--devices", 8, "--config.mesh.fsdp=3")
