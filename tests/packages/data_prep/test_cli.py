import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cdm.data.dataset import load_info, save_info
from cdm.data.records import ShardFile, index_path, shard_writer
from cdm_data_prep.cli import main
from cdm_data_prep.verify import verify

from .test_prepare import contents

SMALL = ["--num", "30", "--num-validation", "10", "--resolutions", "4,8", "--shards", "2"]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def glyphs(tmp_path):
    result = run("--out", tmp_path / "glyphs", *SMALL)
    assert result.exit_code == 0, result.output
    return tmp_path / "glyphs"


def test_making_and_making_again(glyphs):
    result = run("--out", glyphs, *SMALL)
    assert result.exit_code == 0
    assert f"Nothing to do: {glyphs} is complete." in result.output
    assert "validation" in result.output


def test_errors_are_one_message_and_an_exit_code(tmp_path):
    for arguments, message in [
        ([], "give --out FOLDER"),
        (["--out", tmp_path, "--source", "glyfs"], "did you mean glyphs"),
        (["--out", tmp_path, "--source", "folder"], "needs --input FOLDER"),
        (["--out", tmp_path, "--source", "folder", "--input", tmp_path / "x"], "does not exist"),
        (["--out", tmp_path, "--source", "folder", "--input", tmp_path], "there are no files in"),
        (["--out", tmp_path, "--resolutions", "16,x"], "expected whole numbers like 16,32"),
        (["verify", tmp_path], "is not a data set"),
        (["info", tmp_path / "none"], "there is no data set at"),
    ]:
        result = run(*arguments)
        assert result.exit_code in (1, 2), arguments
        assert message in result.output
        assert "Traceback" not in result.output
        assert isinstance(result.exception, SystemExit)


def test_info_shows_figures_and_images(glyphs, tmp_path):
    result = run("info", glyphs, "--grid", tmp_path / "grid.png", "--images", 5)
    assert result.exit_code == 0, result.output
    assert "validation" in result.output
    assert "glyphs, train: examples of each class" in result.output
    with Image.open(tmp_path / "grid.png") as grid:
        pixels = np.asarray(grid)
    # 5 images at 2 resolutions, enlarged to 96 pixels each, on white.
    assert pixels.shape[2] == 3
    assert (pixels < 250).any(2).sum() > 5 * 2 * 96 * 96 * 0.99
    assert run("info", glyphs, "--split", "test").exit_code == 1


def shard(glyphs, size=8, number=0):
    info = load_info(glyphs, "train")
    return info.shard_path(glyphs / "train", size, number)


def faults(glyphs):
    result = run("verify", glyphs)
    found = list(verify(glyphs))
    assert result.exit_code == (1 if found else 0)
    assert all(fault in result.output for fault in found)
    return "\n".join(found)


def test_verify_finds_nothing_in_a_sound_data_set(glyphs):
    assert faults(glyphs) == ""


def test_verify_names_damage_to_files(glyphs):
    path = shard(glyphs)
    sound = path.read_bytes()
    flipped = bytearray(sound)
    flipped[200] ^= 1
    path.write_bytes(flipped)
    found = faults(glyphs)
    assert f"{path}: its SHA-256 is not the described one" in found
    assert f"{path}, record 0: the checksum of the data does not hold" in found
    path.write_bytes(sound[:-5])
    found = faults(glyphs)
    assert f"{len(sound) - 5} bytes, described as {len(sound)}" in found
    assert "is cut short: record 14" in found
    path.write_bytes(sound)
    index = index_path(path).read_bytes()
    index_path(path).write_bytes(index[:-8])
    assert "does not hold the offsets" in faults(glyphs)
    index_path(path).unlink()
    assert faults(glyphs) == f"{index_path(path)}: missing"
    index_path(path).write_bytes(index)
    path.unlink()
    assert f"{path}: missing" in faults(glyphs)


def redescribe(glyphs, path, size, number):
    """Makes the description fit to a file that a test wrote anew."""
    from dataclasses import replace

    from cdm.data.records import scan_index
    from cdm_data_prep.shards import file_digest

    info = load_info(glyphs, "train")
    files = list(info.shards[size])
    files[number] = ShardFile(
        file=path.name,
        examples=len(scan_index(path)) - 1,
        bytes=path.stat().st_size,
        sha256=file_digest(path),
    )
    save_info(glyphs / "train", replace(info, shards={**info.shards, size: tuple(files)}))


def test_verify_names_what_well_formed_records_get_wrong(glyphs):
    path = shard(glyphs)
    with shard_writer(path) as writer:
        writer.write(b"other", bytes(8 * 8 * 3), 3)
        writer.write(b"short", bytes(5), 10)
    redescribe(glyphs, path, 8, 0)
    found = faults(glyphs)
    assert "records at 4 and 8 pixels are not of the same images, from record 0 on" in found
    assert f"{path}, record 1: an image of 5 bytes, expected 192" in found
    assert f"{path}, record 1: label 10, expected 0 to 9" in found


def test_verify_names_wrong_counts(glyphs):
    file = glyphs / "train" / "dataset_info.json"
    values = json.loads(file.read_text())
    values["examples_per_class"][0] += 1
    values["num_examples"] += 1
    values["counters"]["dead"] += 1
    file.write_text(json.dumps(values))
    found = faults(glyphs)
    assert "examples per class are (3, 3," in found
    assert "30 examples, described as 31" in found
    assert "do not account for every image" in found
    assert "0 dead letters, described as 1" in found


def test_verify_names_an_id_that_occurs_twice(glyphs):
    for size in (4, 8):
        path = shard(glyphs, size, 1)
        path.write_bytes(shard(glyphs, size, 0).read_bytes())
        index_path(path).write_bytes(index_path(shard(glyphs, size, 0)).read_bytes())
        redescribe(glyphs, path, size, 1)
    assert "occurs more than once" in faults(glyphs)


def test_verify_names_an_unfinished_split(glyphs):
    (glyphs / "validation" / "dataset_info.json").unlink()
    assert "'validation'" in faults(glyphs)
    assert "did not finish" in faults(glyphs)


def command(out, *arguments):
    code = "from cdm_data_prep.cli import main; main()"
    return [sys.executable, "-c", code, "--out", str(out), *map(str, arguments)]


def test_file_that_grows_too_large_for_the_disk(tmp_path, glyphs):
    """The system refuses to write more than 2,000 bytes into a file."""
    out = tmp_path / "limited"

    # Set by a program that then becomes the command: subprocess's preexec_fn would fork this
    # process, of which JAX, if another test has imported it, rightly warns.
    limited = (
        "import os, resource, sys;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited, *command(out, *SMALL)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "Error: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(out.rglob("*.tmp"))
    assert run("--out", out, *SMALL).exit_code == 0
    assert contents(out) == contents(glyphs)


def test_killed_and_run_again_gives_the_same_bytes(tmp_path):
    arguments = ["--num", 1500, "--num-validation", 0, "--resolutions", "4,8", "--shards", 50]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        command(killed, *arguments, "--workers", 1),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    reports = killed / "train" / "shards"
    deadline = time.monotonic() + 60
    while not (reports.is_dir() and len(list(reports.glob("*.json"))) >= 3):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in reports.glob("*.json")}
    assert 3 <= len(done) < 50
    assert not (killed / "train" / "dataset_info.json").exists()

    assert run("--out", killed, *arguments).exit_code == 0
    assert run("--out", whole, *arguments).exit_code == 0
    assert done == {path: path.stat().st_mtime_ns for path in done}
    assert contents(killed) == contents(whole)
    assert len(list(whole.rglob("*.tfrecord"))) == 100
    assert not list(killed.rglob("*.tmp"))


def test_interrupted_leaves_at_once_and_cleanly(tmp_path):
    out = tmp_path / "out"
    arguments = ["--num", 20_000, "--num-validation", 0, "--resolutions", "4,8"]
    process = subprocess.Popen(command(out, *arguments), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((out / "train").glob("8/.*.tmp")):
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.endswith("Interrupted.\n")
    assert "Traceback" not in errors
    assert not list(out.rglob("*.tmp"))
    assert not (out / "train" / "dataset_info.json").exists()


def test_help_imports_nothing_heavy():
    heavy = ("apache_beam", "jax", "cv2", "matplotlib", "numpy", "PIL")
    code = f"import sys, cdm_data_prep.cli; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
