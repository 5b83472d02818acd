"""The loop with a network of 48 numbers, and one step of training against closed forms."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cdm import images
from cdm.config import (
    DataConfig,
    DiffusionConfig,
    ModelConfig,
    OptimConfig,
    StageConfig,
    TrainConfig,
    to_dict,
)
from cdm.nn.functional import Network
from cdm.stage import make_stage
from cdm.training.checkpoint import find, finished_steps
from cdm.training.loop import Task, TrainingDiverged, train
from cdm.training.state import TRAIN, ema_rate, init_state, make_optimizer, train_step

from .tiny import assert_same_state, compiled_once, logged_steps, newest_state, write_dataset


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with compiled_once(tmp_path_factory.getbasetemp() / "programs"):
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


def settings(data: Path, **changes) -> StageConfig:
    """Six steps of the toy; `changes` are those of training."""
    train_config = {"steps": 6, "log_every": 2, "checkpoint_every": 2, "preview_every": 1000}
    return StageConfig(
        name="toy",
        model=ModelConfig(
            resolution=4,
            channels=8,
            channel_multipliers=(1,),
            attention_resolutions=(),
            num_heads=1,
        ),
        diffusion=DiffusionConfig(timesteps=20, variance="fixed_small", loss="simple"),
        optim=OptimConfig(learning_rate=0.01, warmup_steps=3),
        train=TrainConfig(batch_size=4, **{**train_config, **changes}),
        data=DataConfig(path=str(data)),
    )


def init(key):
    return {"w": jax.random.normal(key, (4, 4, 3))}


def step_key(seed: int, step: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), TRAIN), step)


def toy(*, spoil=None, at: int = 10**6, preview=lambda ema: None):
    """Makes tasks that learn one image from noisy ones; in step `at` + 1 the loss is spoilt.

    Args:
        spoil: "loss" for NaN, "gradient" for one that overflows under a loss that is as ever.
    """

    def make_task(config, split):
        def loss(params, batch, key):
            x = images.from_uint8(batch["image"]) + jax.random.normal(key, batch["image"].shape)
            losses = jnp.square(x - params["w"][None]).mean(axis=(1, 2, 3))
            bad = step_key(config.train.seed, at)
            chosen = jnp.all(jax.random.key_data(key) == jax.random.key_data(bad))
            if spoil == "loss":
                losses = jnp.where(chosen, jnp.nan, losses)
            if spoil == "gradient":
                w = params["w"][0, 0, 0]
                losses += jnp.where(chosen, 3e38, 0.0) * (w - jax.lax.stop_gradient(w))
            return losses, jax.random.uniform(key, losses.shape)

        def picture(ema):
            preview(ema)
            return Image.new("RGB", (4, 4))

        stage = dataclasses.replace(make_stage(config), network=Network(init, None))
        return Task(stage, loss, picture)

    return make_task


# The loop


def test_a_run_leaves_what_the_contract_says(data, tmp_path, capsys):
    run, config = tmp_path / "run", settings(data, checkpoint_every=4)
    assert train(toy(), config, run) == 6
    assert json.loads((run / "config.json").read_text()) == to_dict(config)
    assert finished_steps(run) == [4, 6]
    assert logged_steps(run) == [2, 4, 6]
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"step", "loss", "grad_norm", "images_per_second", "input_wait"} <= row.keys()
    assert [p.name for p in (run / "previews").iterdir()] == ["00000006.png"]
    assert list((run / "tensorboard").glob("events.*"))
    found = find(run)
    assert (found.step, found.config) == (6, config)
    assert found.data["source"]["digest"] == "0"
    assert found.data["class_names"][0] == "ant"
    assert "finished at step 6" in capsys.readouterr().err


def test_a_finished_run_is_left_alone(data, tmp_path):
    run, config = tmp_path / "run", settings(data)
    train(toy(), config, run)
    before = (run / "metrics.jsonl").read_text()

    def make_task(config, split):
        task = toy()(config, split)

        def loss(*_):
            raise AssertionError("a finished run took another step")

        return dataclasses.replace(task, loss=loss)

    assert train(make_task, config, run) == 6
    assert (run / "metrics.jsonl").read_text() == before
    assert finished_steps(run)[-1] == 6


def test_more_steps_go_on_to_what_an_unbroken_run_gives(data, tmp_path):
    train(toy(), settings(data, steps=3), tmp_path / "broken")
    assert train(toy(), settings(data), tmp_path / "broken") == 6
    train(toy(), settings(data), tmp_path / "unbroken")
    assert_same_state(
        newest_state(tmp_path / "broken", init), newest_state(tmp_path / "unbroken", init)
    )


def test_previews_do_not_disturb_training(data, tmp_path):
    train(toy(), settings(data, preview_every=1), tmp_path / "many")
    train(toy(), settings(data), tmp_path / "one")
    assert len(list((tmp_path / "many" / "previews").iterdir())) == 6
    assert_same_state(newest_state(tmp_path / "many", init), newest_state(tmp_path / "one", init))


def test_steps_of_a_crash_are_logged_once(data, tmp_path):
    """A run that dies between a log line and the next checkpoint writes those lines again."""
    run = tmp_path / "run"

    def crash(ema):
        raise MemoryError("killed")

    config = settings(data, log_every=1, checkpoint_every=3, preview_every=5)
    with pytest.raises(MemoryError):
        train(toy(preview=crash), config, run)
    assert logged_steps(run) == [1, 2, 3, 4, 5]
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # the line in which it died
    assert train(toy(), config, run) == 6
    assert logged_steps(run) == [1, 2, 3, 4, 5, 6]
    train(toy(), config, tmp_path / "unbroken")
    strip = lambda text: [json.loads(line)["loss"] for line in text.splitlines()]  # noqa: E731
    assert strip((run / "metrics.jsonl").read_text()) == strip(
        (tmp_path / "unbroken" / "metrics.jsonl").read_text()
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(data, tmp_path, capsys, number):
    run, config = tmp_path / "run", settings(data, preview_every=3, checkpoint_every=100)
    handler = signal.getsignal(number)
    assert train(toy(preview=lambda _: os.kill(os.getpid(), number)), config, run) == 3
    assert signal.getsignal(number) is handler
    assert finished_steps(run) == [3]
    assert "stopped and saved at step 3; the same command goes on" in capsys.readouterr().err
    assert train(toy(), config, run) == 6
    train(toy(), config, tmp_path / "unbroken")
    assert_same_state(newest_state(run, init), newest_state(tmp_path / "unbroken", init))


def test_a_second_interrupt_does_not_wait(data, tmp_path):
    def twice(ema):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(toy(preview=twice), settings(data, preview_every=3), tmp_path / "run")
    assert finished_steps(tmp_path / "run") == [2]


@pytest.mark.parametrize(
    ("spoil", "what"), [("loss", "loss became nan"), ("gradient", "gradient's norm became inf")]
)
def test_a_diverging_run_stops_and_keeps_what_was_good(data, tmp_path, spoil, what):
    run = tmp_path / "run"
    with pytest.raises(TrainingDiverged, match=f"the {what} at step 4; the checkpoint of step 2"):
        train(toy(spoil=spoil, at=3), settings(data), run)
    assert finished_steps(run) == [2]
    state = newest_state(run, init)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    # It may be tried again, and comes to the same end.
    with pytest.raises(TrainingDiverged, match=r"optim\.learning_rate"):
        train(toy(spoil=spoil, at=3), settings(data), run)
    assert finished_steps(run) == [2]


def test_a_run_that_diverges_at_once_says_that_nothing_was_kept(data, tmp_path):
    with pytest.raises(TrainingDiverged, match="at step 1; no checkpoint was made"):
        train(toy(spoil="loss", at=0), settings(data), tmp_path / "run")
    assert finished_steps(tmp_path / "run") == []


def test_other_settings_are_refused_and_named(data, tmp_path):
    run, config = tmp_path / "run", settings(data)
    train(toy(), config, run)
    changed = dataclasses.replace(
        config, optim=dataclasses.replace(config.optim, learning_rate=0.02), name="other name"
    )
    with pytest.raises(ValueError, match=r"learning_rate: 0\.01 in the run, 0\.02 now") as error:
        train(toy(), changed, run)
    assert "name:" not in str(error.value)


def test_other_images_are_refused_and_other_places_are_not(data, tmp_path):
    run, config = tmp_path / "run", settings(data)
    train(toy(), config, run)
    moved = settings(data.rename(tmp_path / "moved"), steps=8)
    assert train(toy(), moved, run) == 8
    other = settings(write_dataset(tmp_path / "other", digest="1"), steps=9)
    with pytest.raises(ValueError, match="was started with other data: tiny, 12 images, digest 0"):
        train(toy(), other, run)
    assert find(run).step == 8


def test_a_folder_that_is_no_run_is_left_alone(data, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="is not empty and not a run"):
        train(toy(), settings(data), tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


# One step


def flat_loss(params, batch, key):
    """Half the squared distance of w from each target, so that the gradient is w - mean."""
    difference = params["w"][None] - batch["target"]
    return 0.5 * jnp.square(difference).sum(axis=1), batch["place"]


def one_batch():
    target = jnp.array([[3.0, 0.0], [5.0, 0.0], [4.0, 6.0], [4.0, 10.0]])
    return {"target": target, "place": jnp.array([0.05, 0.25, 0.2501, 1.0])}


def toy_state(config):
    return init_state(lambda key: {"w": jnp.zeros(2)}, config, 0)


def test_the_average_starts_quickly_and_ends_slowly():
    """min(decay, (1 + step) / (10 + step)), by plain arithmetic over three steps."""
    config = OptimConfig(ema_decay=0.15, learning_rate=0.1, grad_clip=None)
    rates = [float(ema_rate(config, jnp.int32(step))) for step in range(3)]
    np.testing.assert_allclose(rates, [0.1, 0.15, 0.15], rtol=1e-6)
    late = OptimConfig(ema_decay=0.9999)
    assert float(ema_rate(late, jnp.int32(90))) == pytest.approx(91 / 100)
    assert float(ema_rate(late, jnp.int32(10**6))) == pytest.approx(0.9999)
    constant = dataclasses.replace(config, ema_startup=False)
    assert float(ema_rate(constant, jnp.int32(0))) == pytest.approx(0.15)

    state, expected = toy_state(config), np.zeros(2)
    for rate in rates:
        state, _ = train_step(flat_loss, config, 0, state, one_batch())
        expected = rate * expected + (1 - rate) * np.asarray(state.params["w"])
        np.testing.assert_allclose(state.ema["w"], expected, rtol=1e-5)
    assert int(state.step) == 3


def test_warm_up_reaches_the_learning_rate_in_as_many_steps():
    """Adam's step is the learning rate while the gradient stays the same."""
    config = OptimConfig(learning_rate=0.1, warmup_steps=4, grad_clip=None)
    optimizer = make_optimizer(config)
    params = {"w": jnp.zeros(2)}
    opt_state, taken = optimizer.init(params), []
    for _ in range(6):
        updates, opt_state = optimizer.update({"w": jnp.array([2.0, -3.0])}, opt_state, params)
        np.testing.assert_allclose(updates["w"][0], -updates["w"][1], rtol=1e-4)
        taken.append(-float(updates["w"][0]))
    np.testing.assert_allclose(taken, [0.025, 0.05, 0.075, 0.1, 0.1, 0.1], rtol=1e-4)


@pytest.mark.parametrize(("clip", "factor"), [(None, 1.0), (100.0, 1.0), (0.5, 0.5)])
def test_the_gradient_is_clipped_by_its_global_norm(clip, factor):
    """Adam's first moment after one step is (1 - beta1) times the gradient it was given."""
    gradient = {"a": jnp.array([3.0]), "b": jnp.array([0.0, 4.0])}
    scale = factor / 5.0 if clip == 0.5 else 1.0
    optimizer = make_optimizer(OptimConfig(grad_clip=clip))
    _, opt_state = optimizer.update(gradient, optimizer.init(gradient), gradient)
    (moments,) = [s for s in jax.tree.leaves(opt_state, is_leaf=_is_adam) if _is_adam(s)]
    np.testing.assert_allclose(moments.mu["a"], [0.1 * scale * 3.0], rtol=1e-5)
    np.testing.assert_allclose(moments.mu["b"], [0.0, 0.1 * scale * 4.0], rtol=1e-5)


def _is_adam(node):
    return hasattr(node, "mu")


def test_figures_of_a_step():
    """The norm is that before clipping; quarters of the process are (0, 1/4], (1/4, 1/2] …"""
    config = OptimConfig(grad_clip=0.1)
    _, figures = train_step(flat_loss, config, 0, toy_state(config), one_batch())
    losses = 0.5 * np.array([9.0, 25.0, 52.0, 116.0])
    assert float(figures["loss"]) == pytest.approx(losses.mean())
    assert float(figures["grad_norm"]) == pytest.approx(np.hypot(4.0, 4.0))
    np.testing.assert_allclose(
        figures["quartile_sum"], [losses[0] + losses[1], losses[2], 0.0, losses[3]], rtol=1e-6
    )
    np.testing.assert_array_equal(figures["quartile_count"], [2, 1, 0, 1])


def test_randomness_of_a_step_is_a_function_of_seed_and_step():
    seen = []

    def loss(params, batch, key):
        seen.append(key)
        return flat_loss(params, batch, key)

    config = OptimConfig()
    for seed, steps in ((0, 0), (0, 7), (1, 7)):
        state = dataclasses.replace(toy_state(config), step=jnp.int32(steps))
        train_step(loss, config, seed, state, one_batch())
    data = [tuple(np.asarray(jax.random.key_data(key))) for key in seen]
    expected = [step_key(0, 0), step_key(0, 7), step_key(1, 7)]
    assert data == [tuple(np.asarray(jax.random.key_data(key))) for key in expected]
    assert len(set(data)) == 3
