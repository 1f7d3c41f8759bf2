"""An error in a class of the user's own, told where the user can mend it.

One sentence first, then the frames of the user's files, in the form of a traceback; the
frames of this repository, of JAX and of other libraries are left out.
"""

import functools
import inspect
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from agents.convert import ConfigError
from envs import CheckError as BrokenTask
from envs import Environment
from memory_models import CheckError as BrokenMemory
from memory_models import MemoryModel

OURS = ("agents", "envs", "memory_models")
_ROOT = Path(__file__).resolve().parents[3]

_ADVICE = {
    jax.errors.TracerBoolConversionError: (
        "asks a Python `if`, `while`, `and`, `or` or `not` about an array whose value "
        "is not known while compiling; use jax.numpy.where or jax.lax.cond"
    ),
    jax.errors.TracerIntegerConversionError: (
        "uses an array whose value is not known while compiling as a Python index; use "
        "jax.numpy and jax.lax"
    ),
    jax.errors.TracerArrayConversionError: (
        "gives an array whose value is not known while compiling to numpy; use "
        "jax.numpy"
    ),
    jax.errors.ConcretizationTypeError: (
        "needs the value of an array, which is not known while compiling, for example "
        "by int(...) or float(...); use jax.numpy and jax.lax"
    ),
}
"""What to do about JAX's own errors, in place of their many lines."""


class UserError(ConfigError):
    """What a class of the user's own does wrong: a sentence, and where it is written.

    Attributes:
        sentence: what is wrong.
        place: of the code, in the form of a traceback.
        rest: why it matters and what to do, or ''.
    """

    def __init__(self, sentence: str, place: str, rest: str = ""):
        super().__init__("\n".join(part for part in (sentence, place, rest) if part))
        self.sentence, self.place, self.rest = sentence, place, rest


def told(error: BaseException) -> UserError | None:
    """The error as its user should read it; None where no code of theirs took part."""
    if isinstance(error, UserError):
        return error
    for link in _chain(error):
        frames = _frames(link)
        if frames and not isinstance(link, BrokenTask | BrokenMemory):
            return UserError(_sentence(error, link, frames), _show(frames, link))
        if isinstance(link, SyntaxError) and _is_users(link.filename or ""):
            lines = traceback.format_exception_only(type(link), link)
            return UserError(_first_line(error), "".join(lines[:-1]).rstrip())
    return None


def broken(error: BrokenTask | BrokenMemory, target: Any) -> UserError:
    """A broken guarantee, with the place of the method that breaks it.

    Args:
        error: of `envs.check_env` or `memory_models.check_memory`.
        target: the user's class.
    """
    cause = error.__cause__ and told(error.__cause__)
    if cause is not None:
        return UserError(cause.sentence, cause.place, error.rest)
    name = getattr(target, "__name__", str(target))
    sentence = error.wrong
    if isinstance(error, BrokenMemory):
        joint = "." if sentence.startswith(("__call__", "step", "initial_")) else ": "
        sentence = f"{name}{joint}{sentence}"
    return UserError(sentence, _defined(target, error.method), error.rest)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, the origin first."""
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return reversed(links)


def _frames(error: BaseException) -> list[tuple[Any, int]]:
    """The frames in the user's files, outermost first, with their lines."""
    frames = traceback.walk_tb(error.__traceback__)
    return [pair for pair in frames if _is_users(pair[0].f_code.co_filename)]


def _is_users(filename: str) -> bool:
    if not filename or filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    if path.parent == _ROOT and path.name == "train.py":
        return False
    if any(path.is_relative_to(_ROOT / package) for package in OURS):
        return False
    libraries = [part for part in _libraries() if path.is_relative_to(part)]
    if not libraries:
        return True
    top = path.relative_to(max(libraries, key=lambda part: len(part.parts))).parts[0]
    return top.removesuffix(".py") in _packages_of_users()


@functools.cache
def _libraries() -> tuple[Path, ...]:
    """Where Python and installed packages are."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(Path(sysconfig.get_path(name)).resolve() for name in names)


def _packages_of_users() -> set[str]:
    """Installed packages that define a task or a memory: they are the user's too."""
    found, kinds = set(), [Environment, MemoryModel]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.add(kind.__module__.partition(".")[0])
    return found - set(OURS)


def _sentence(error: BaseException, origin: BaseException, frames: list) -> str:
    """What failed, in which class and method, with the exception's own text."""
    where = _name(frames[0][0])
    if where is None:  # while importing, which the error itself says
        return _first_line(error)
    for kind, advice in _ADVICE.items():
        if isinstance(origin, kind):
            return f"{where} {advice} ({_first_line(origin).rstrip('.')})."
    text = _first_line(origin)
    return f"{where} raised {type(origin).__name__}{f': {text}' if text else '.'}"


def _name(frame: Any) -> str | None:
    """`Class.method`, or None for the top of a module."""
    name = frame.f_code.co_qualname.replace(".<locals>", "")
    if name == "<module>":
        return None
    owner = frame.f_locals.get("self")
    kind = getattr(type(owner), "__name__", "")
    own = owner is not None and isinstance(owner, Environment | MemoryModel)
    return f"{kind}.{frame.f_code.co_name}" if own else name


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _show(frames: list[tuple[Any, int]], origin: BaseException) -> str:
    text = "".join(traceback.StackSummary.extract(iter(frames)).format())
    if isinstance(origin, SyntaxError):  # of a module that the user's module imports
        text += "".join(traceback.format_exception_only(type(origin), origin)[:-1])
    return text.rstrip()


def _defined(target: Any, method: str | None) -> str:
    """Where a class, or a method of it, is written; '' where that is not known."""
    found = getattr(target, method, target) if method else target
    found = getattr(found, "fget", found)  # a property is written as a function
    try:
        found = inspect.unwrap(found)
        filename = inspect.getsourcefile(found) or ""
        lines, first = inspect.getsourcelines(found)
    except (TypeError, OSError):
        return ""
    if not _is_users(filename):
        return "" if found is target else _defined(target, None)
    heads = [text.lstrip().startswith(("def ", "class ")) for text in lines]
    line = first + heads.index(True) if any(heads) else first  # below its decorators
    summary = traceback.FrameSummary(filename, line, getattr(found, "__name__", ""))
    return "".join(traceback.StackSummary.from_list([summary]).format()).rstrip()
