"""Evaluates expressions that are wrong, without the strict profile of the tests.

Reads a list of them as JSON, and writes the kind and the message of each error: null
where there is none.
"""

import json
import sys

import gymnasium
import jax

import agents
import envs
import memory_models
from agents.running.overrides import compose_config


def answer(expression, names):
    try:
        eval(expression, names)
    except Exception as error:
        return [type(error).__name__, str(error.args[0] if error.args else error)]
    return None


def main():
    names = {
        "agents": agents,
        "compose_config": compose_config,
        "envs": envs,
        "gymnasium": gymnasium,
        "memory_models": memory_models,
        "nowhere": "/nowhere",
        "key": jax.random.key(0),
        "task": envs.make("TMaze-v0", length=3),
        "memory": memory_models.builder("gru", output_size=8),
    }
    expressions = json.load(sys.stdin)
    if any("torch" in expression for expression in expressions):
        import torch

        from memory_models import torch_bridge

        names |= {"torch": torch, "torch_bridge": torch_bridge}
    json.dump(
        [answer(expression, dict(names)) for expression in expressions], sys.stdout
    )


if __name__ == "__main__":
    main()
