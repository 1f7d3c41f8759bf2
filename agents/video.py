"""Film a trained policy: python -m agents.video runs/<task>/<memory>-<agent>/<run>.

Writes whole episodes as an animated GIF, or as MP4 (`--out film.mp4`, which needs the
extra `video`). See `agents.evaluate.film` for what a frame shows.
"""

from pathlib import Path

from agents.convert import ConfigError, convert
from agents.evaluate.film import films_of
from agents.evaluate.policy import Policy
from agents.load import load
from command_line.words import Parser
from envs.film import KINDS, save


def record(
    policy: Policy,
    path: Path,
    *,
    seed: int = 0,
    episodes: int = 3,
    max_steps: int = 500,
    milliseconds: int = 250,
) -> list[float]:
    """Write a film of whole episodes, and return their returns.

    Args:
        policy: from `agents.load`; it acts as it does everywhere.
        path: of the file to write, `.gif` or `.mp4`.
        seed: of the episodes, apart from those of training.
        episodes: how many.
        max_steps: after which an episode is cut in the film.
        milliseconds: per frame; the last one of an episode stays four times as long.

    Raises:
        ValueError: the task cannot be rendered.
    """
    played = list(films_of(policy, seed=seed, episodes=episodes, max_steps=max_steps))
    save(path, [film for film, _ in played], milliseconds)
    return [total for _, total in played]


def _count(text: str) -> int:
    """A whole number, 1 or more."""
    number = convert(text, int, "--episodes")
    if number < 1:
        raise ConfigError(f"--episodes={number} must be at least 1.")
    return number


def main() -> None:
    """Read the command line, film, say where the film is."""
    parser = Parser("python -m agents.video", __doc__)
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--seed", help="which seed of a group")
    parser.add_argument("--episodes", default="3")
    parser.add_argument("--out", type=Path, help="default: video.gif in the run")
    arguments = parser.parse_args()
    path = arguments.out or Path(arguments.run) / "video.gif"
    try:
        episodes = _count(arguments.episodes)
        seed = convert(arguments.seed, int | None, "--seed")
        if path.suffix.lower() not in KINDS:
            raise ConfigError(f"--out={path} must end in {' or '.join(KINDS)}.")
        if not path.parent.is_dir() and arguments.out:
            raise ConfigError(f"--out={path}: there is no folder {path.parent}.")
        policy = load(arguments.run, seed=seed)
        returns = record(policy, path, episodes=episodes)
    except (ConfigError, ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{path}: returns {', '.join(f'{x:.2f}' for x in returns)}")


if __name__ == "__main__":
    main()
