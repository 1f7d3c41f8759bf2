"""Memory models by name. `register` adds one; `make` and `builder` build one."""

import inspect
from collections.abc import Callable
from typing import Any, Protocol, get_type_hints, runtime_checkable

from jaxtyping import PRNGKeyArray

from command_line.words import nearest
from memory_models.base import MemoryModel
from memory_models.matching import fitted_option
from memory_models.option_types import check_types
from memory_models.stack import Stack

Columns = dict[str, tuple[int, int]]
"""Which slice of the features comes from which observation key."""


@runtime_checkable
class Builder(Protocol):
    """Builds a memory model once the features are known.

    Agents take a builder and call it inside `init(key)`, so that every seed and every
    critic gets weights of its own.
    """

    def __call__(
        self, input_size: int, *, key: PRNGKeyArray, columns: Columns | None = None
    ) -> MemoryModel:
        """Build a model for features of width `input_size`."""
        ...


_REGISTRY: dict[str, Callable[..., MemoryModel]] = {}
_PROVIDED = ("input_size", "key", "columns")


def _every_memory(
    *, num_layers: int = 1, glu: bool = False, match: str | None = None
) -> None:
    """The options that every memory has, by `builder_of`.

    Args:
        num_layers: how many of the model, in residual blocks (`stack.Stack`); a model
            that is a stack itself has this option of its own.
        glu: whether a gated feed-forward layer follows each of them.
        match: 'state' or 'parameters': size the model to a budget (`matching`).
    """


COMMON = inspect.signature(_every_memory).parameters
"""The options that `builder_of` adds to a model's own."""

COMMON_TYPES = {k: v for k, v in get_type_hints(_every_memory).items() if k in COMMON}
"""Their types."""

MOST_LAYERS = 256


def register(name: str, target: Callable[..., MemoryModel]) -> None:
    """Register a model class (or function) under a snake-case name.

    Its signature is `(input_size, output_size, *, key, ...)`, every further parameter
    being an option with a default. A parameter named `columns` makes the model
    receive which slices of the features come from which observation key.

    Raises:
        ValueError: a malformed or taken name, or a signature that lacks one of
            input_size, output_size and key, or an option without a default.
    """
    if not (name.isidentifier() and name == name.lower()):
        raise ValueError(
            f"memory name {name!r} is malformed: names are snake-case, like 'gru'."
        )
    if _REGISTRY.get(name, target) is not target:
        raise ValueError(f"memory name {name!r} is taken; choose another name.")
    check_signature(name, target)
    _REGISTRY[name] = target


def check_signature(name: str, target: Any) -> None:
    """Check that `target` can be built as `(input_size, output_size, *, key, ...)`.

    Raises:
        ValueError: not callable, a parameter missing, or an option without a default.
    """
    if not callable(target):
        raise ValueError(f"{name!r} is {target!r}, which is not a class or function.")
    try:
        signature = inspect.signature(target).parameters
    except (TypeError, ValueError) as error:  # some built-in classes have none
        raise ValueError(f"cannot use {name!r} as a memory: {error}.") from None
    for needed in ("input_size", "output_size", "key"):
        if needed not in signature:
            raise ValueError(
                f"cannot use {name!r} as a memory: its signature has no {needed!r}; it "
                "must be (input_size, output_size, *, key, ...options)."
            )
    for option, parameter in options_of(target).items():
        if parameter.default is inspect.Parameter.empty:
            raise ValueError(
                f"cannot use {name!r} as a memory: its option {option!r} has no "
                "default."
            )


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_REGISTRY)


def lookup(name: str) -> Callable[..., MemoryModel]:
    """The registered class or function.

    Raises:
        KeyError: no such name; the message gives the nearest one.
    """
    if not isinstance(name, str):
        raise KeyError(f"a memory's name is text, such as 'gru', not {name!r}.")
    if name not in _REGISTRY:
        hint = nearest(name, _REGISTRY)
        raise KeyError(
            f"there is no memory model {name!r}.{hint} See memory_models.names()."
        )
    return _REGISTRY[name]


def reads_columns(name: str) -> bool:
    """Whether a registered model reads observation keys by name."""
    return _takes_columns(lookup(name))


def types_of(target: Callable[..., Any]) -> dict[str, Any]:
    """The types of a model's options, as far as they are written and can be read."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # for a type checker alone
        return {}


def _takes_columns(target: Callable[..., Any]) -> bool:
    return "columns" in inspect.signature(target).parameters


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a registered model; see `options_of`."""
    return options_of(lookup(name))


def options_of(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of a model: its parameters beyond sizes, key and columns.

    Those that every memory has (`COMMON`) come last.
    """
    signature = inspect.signature(target).parameters
    own = {
        option: parameter
        for option, parameter in signature.items()
        if option not in (*_PROVIDED, "output_size")
    }
    return {**own, **{k: v for k, v in COMMON.items() if k not in own}}


def builder(name: str, *, output_size: int, **given: Any) -> Builder:
    """A builder of the model `name` with the given options.

    Raises:
        KeyError: no such model.
        ValueError: no such option; the message gives the nearest one.
    """
    return builder_of(lookup(name), name, output_size=output_size, **given)


def builder_of(
    target: Callable[..., MemoryModel], name: str, *, output_size: int, **given: Any
) -> Builder:
    """A builder of any class with the signature that `register` asks for.

    Args:
        target: the class or function.
        name: of the model, for messages.
        output_size: width of the output.
        given: options of the model, and those that every memory has (`COMMON`).

    Raises:
        ValueError: no such option, or one that cannot be combined with the others.
    """
    check_signature(name, target)
    known = list(options_of(target))
    for option in given:
        if option not in known:
            hint = nearest(option, ["output_size", *known])
            raise ValueError(f"memory {name!r} has no option {option!r}.{hint}")
    common = {
        option: given.pop(option, parameter.default)
        for option, parameter in COMMON.items()
        if option not in inspect.signature(target).parameters
    }
    _check_given(target, name, {"output_size": output_size, **common, **given})
    layers, glu = common.get("num_layers", 1), common.get("glu", False)
    stacked = layers > 1 or glu
    wants_columns = _takes_columns(target)

    def build_sized(input_size, key, columns, given) -> MemoryModel:
        if stacked:
            size = given["output_size"]
            rest = {k: v for k, v in given.items() if k != "output_size"}

            def layer(width: int, *, key: PRNGKeyArray) -> MemoryModel:
                return target(input_size=width, output_size=width, key=key, **rest)

            return Stack(input_size, size, [layer] * layers, glu=glu, key=key)
        extra = {"columns": columns or {}} if wants_columns else {}
        return target(input_size=input_size, key=key, **given, **extra)

    def build(
        input_size: int, *, key: PRNGKeyArray, columns: Columns | None = None
    ) -> MemoryModel:
        check_types({"input_size": int}, {"input_size": input_size}, f"memory {name!r}")
        if input_size < 1:
            raise ValueError(
                f"memory {name!r} got input_size={input_size}; it must be 1 or more."
            )
        values = {"output_size": output_size, **given}
        if common.get("match") is not None:

            def sized(option: str, size: int) -> MemoryModel:
                return build_sized(input_size, key, columns, {**values, option: size})

            setting = _sizing(target, common["match"], values)
            option, size = fitted_option(
                name, common["match"], sized, ("output_size", output_size), *setting
            )
            values[option] = size
        return build_sized(input_size, key, columns, values)

    return build


def _check_given(target: Any, name: str, given: dict[str, Any]) -> None:
    """Check the types of all options, and that those every memory has fit together."""
    told = f"memory {name!r}"
    check_types({"output_size": int, **COMMON_TYPES, **types_of(target)}, given, told)
    own = inspect.signature(target).parameters
    layers = 1 if "num_layers" in own else given["num_layers"]
    glu = False if "glu" in own else given["glu"]
    for option, value, most in (
        ("output_size", given["output_size"], None),
        ("num_layers", layers, MOST_LAYERS),
    ):
        if value < 1 or (most and value > most):
            allowed = f"1 to {most}" if most else "1 or more"
            raise ValueError(f"{told} got {option}={value}; it must be {allowed}.")
    if (layers > 1 or glu) and _takes_columns(target):
        raise ValueError(
            f"{told} reads observation keys by name, which only the first layer of a "
            "stack sees; use num_layers=1 and glu=false."
        )
    if glu and getattr(target, "feeds_forward", False):
        raise ValueError(
            f"{told} has a feed-forward layer of its own, so glu=true would add "
            "nothing; use glu=false."
        )


def _sizing(target: Any, budget: str, given: dict[str, Any]) -> tuple[str | None, int]:
    """The option that sets a budget, and its unit as a number."""
    sizing = getattr(target, "sizing", MemoryModel.sizing)
    unit = getattr(sizing, f"{budget}_unit", 1)
    if isinstance(unit, str):
        unit = given.get(unit, options_of(target)[unit].default)
    return getattr(sizing, budget, None), unit


def make(
    name: str,
    *,
    input_size: int,
    output_size: int,
    key: PRNGKeyArray,
    columns: Columns | None = None,
    **given: Any,
) -> MemoryModel:
    """Build the model `name` at once; see `builder`."""
    build = builder(name, output_size=output_size, **given)
    return build(input_size, key=key, columns=columns)


def column(
    columns: Columns, key: str, *, needed_by: str, options: tuple[str, ...] = ()
) -> tuple[int, int]:
    """The slice of the features that carries observation key `key`.

    Args:
        columns: which slice comes from which key.
        key: the one that is needed.
        needed_by: name of the memory, for the message.
        options: of the memory, that say which keys it reads.

    Raises:
        ValueError: the observation has no such key; the message lists those it has.
    """
    if key not in columns:
        has = ", ".join(sorted(repr(name) for name in columns)) or "no named keys"
        named = ", ".join(f"memory.{option}" for option in options)
        other = f"another key ({named}), " if named else ""
        raise ValueError(
            f"memory {needed_by!r} needs the observation key {key!r}, but this task's "
            f"features have {has}; choose {other}a task that observes {key!r}, or a "
            "memory that does not need it."
        )
    return columns[key]
