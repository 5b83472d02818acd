"""Runs that are killed or interrupted end as if nothing had happened (bit for bit)."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cdm_train_base.cli import main as train_base
from cdm_train_sr.cli import main as train_sr

from ...shared.tiny import (
    assert_same_state,
    base_options,
    logged_steps,
    newest_state,
    sr_options,
    start,
    succeed,
)

OFTEN = ("train.steps=30", "train.log_every=1", "train.checkpoint_every=4")


def wait_for_steps(process: subprocess.Popen, run: Path, steps: int) -> None:
    """Until the run has logged so many steps."""
    end = time.monotonic() + 120
    while len(logged_steps(run)) < steps:
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode} before its time: {process.stdout.read()}")
        assert time.monotonic() < end, "the run did not come to its steps"
        time.sleep(0.005)


def test_a_killed_run_ends_like_an_unbroken_one(data, base_run, tmp_path):
    run = tmp_path / "run"
    command = [*base_options(*OFTEN), "--data", data, "--run", run]
    moment = random.SystemRandom().randint(5, 25)
    print(f"to be killed after step {moment}")
    process = start("cdm-train-base", *command)
    try:
        wait_for_steps(process, run, moment)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    reached = logged_steps(run)[-1]
    result = succeed(train_base, *command)
    assert f"of 30, in {run}" in result.stderr
    assert "step 0 of 30" not in result.stderr or reached < 8
    assert logged_steps(run) == list(range(1, 31))
    assert_same_state(newest_state(run), newest_state(base_run))


def test_an_interrupted_run_saves_and_ends_like_an_unbroken_one(data, sr_run, tmp_path):
    run = tmp_path / "run"
    changes = ("train.steps=30", "train.log_every=1", "train.checkpoint_every=1000000")
    command = [*sr_options(*changes), "--data", data, "--run", run]
    process = start("cdm-train-sr", *command)
    try:
        wait_for_steps(process, run, 3)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "stopped and saved at step" in output
    assert "Traceback" not in output
    assert "Exception ignored" not in output
    assert 3 <= logged_steps(run)[-1] < 30
    # The folder alone is enough to go on.
    succeed(train_sr, "--run", run)
    assert logged_steps(run) == list(range(1, 31))
    assert_same_state(newest_state(run), newest_state(sr_run))
