"""The example of docs/host_environments.md trains as it is written there."""

import re
from pathlib import Path

from agents.running.configuration.config import build
from agents.running.overrides import check
from envs.host import HostVector

PAGE = Path(__file__).resolve().parents[3] / "docs" / "host_environments.md"


def test_the_example_is_a_task(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.+?)```", PAGE.read_text(), re.S)
    assert code is not None
    (tmp_path / "my_env.py").write_text(code[1])
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"python train.py (env=custom .+)", PAGE.read_text())
    assert len(lines) == 2
    for line in lines:
        plan = build(check(line.split())[0])
        vector = HostVector(plan.env, 2)
        first = vector.reset([0, 1])
        for _ in range(plan.env.making().bare().length + 1):
            vector.send(((first[:, 0] + 1) // 2).astype(int))
            step = vector.receive()
        vector.close()
        assert step.terminated.all() and (step.reward == 1).all()
