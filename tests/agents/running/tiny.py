"""The smallest run there is, for tests of what runs leave and how they end."""

import contextlib
import io

import jax
from jax.experimental.compilation_cache import compilation_cache as of_jax
from rich.console import Console

import agents
from agents.running.overrides import check, compose_config

WORDS = [
    *("env.length=3", "memory=none", "memory.output_size=4", "agent.encoder_size=4"),
    *("agent.num_envs=4", "agent.rollout_length=8", "agent.num_minibatches=1"),
    *("agent.num_epochs=1", "total_steps=256", "log_interval=2"),
    *("evaluation.interval=null", "evaluation.episodes=200", "checkpoint.interval=64"),
]
"""Eight updates of 32 steps, saved after every second."""


@contextlib.contextmanager
def programs_kept(directory):
    """Keep compiled programs in a directory: the runs of a file share most of them."""
    names = (
        "jax_enable_compilation_cache",
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
    )
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (True, str(directory), 0.05), strict=True):
        jax.config.update(name, value)
    of_jax.reset_cache()
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        of_jax.reset_cache()


def start(*words):
    """Train, and return the result and what was printed."""
    text = io.StringIO()
    result = agents.run(compose_config([*WORDS, *words]), Console(file=text, width=250))
    return result, text.getvalue()


def resume(directory, *words):
    """Go on with a run, and return the result and what was printed."""
    text = io.StringIO()
    config = check([f"resume={directory}", *words])[0]
    return agents.run(config, Console(file=text, width=250)), text.getvalue()
