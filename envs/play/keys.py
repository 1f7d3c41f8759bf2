"""Keys by name: what a terminal sends, and what a script writes."""

import re

_SEQUENCES = {
    **{"A": "up", "B": "down", "C": "right", "D": "left"},
    **{"5~": "pageup", "6~": "pagedown"},
}
_NAMES = {
    **{"\r": "enter", "\n": "enter", " ": "space", "\x7f": "backspace"},
    **{"\x08": "backspace", "\x1b": "escape", "\x04": "escape"},
}
KNOWN = (*_SEQUENCES.values(), *dict.fromkeys(_NAMES.values()))
"""Names of the keys that are no character; `shift up` and so on are others."""
_SHIFT = ";2"
_TOKEN = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|<[a-z ]+>|.", re.DOTALL)


def split(text: str) -> list[str]:
    """The keys of a text: characters as such, the others by name.

    What terminals send for arrows and pages is one key, and so is the name of a key in
    angle brackets, `<up>` or `<shift up>`, for scripts. Sequences of other keys are
    left out.
    """
    found = [_key(token) for token in _TOKEN.findall(text)]
    return [key for key in found if key is not None]


def _key(token: str) -> str | None:
    if token.startswith("<") and len(token) > 1:
        name = token[1:-1]
        return name if name.removeprefix("shift ") in KNOWN else None
    if len(token) == 1:
        return _NAMES.get(token, token)
    code = token[2:]
    shifted = _SHIFT in code
    # Shifted arrows come as '1;2A', pages as '5;2~'.
    code = code.replace(f"1{_SHIFT}", "").replace(_SHIFT, "")
    name = _SEQUENCES.get(code)
    return f"shift {name}" if name and shifted else name


def incomplete(text: str) -> bool:
    """Whether a text ends within what a terminal sends for one key."""
    return re.search(r"\x1b(\[[0-9;]*|O)?$", text) is not None
