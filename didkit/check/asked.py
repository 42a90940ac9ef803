"""What a check asks of its option ``inference=``, where it is made."""

from __future__ import annotations

from typing import Any

from didkit.errors import InferenceError

__all__ = ["check_inference"]

_CORRECTIONS = ("CR0", "CR1", "CR2", "CR3")


def check_inference(given: Any, where: str, *words: str) -> None:
    """Refuse what is neither None, an inference nor one of the words that may be said instead.

    Parameters
    ----------
    given : object
        What was given.
    where : str
        The option: "LeaveOneOut(inference=)".
    *words : str
        Such as "own" or "recommended".

    Raises
    ------
    InferenceError
        If it is a class, another text, or anything without ``attach``.

    Examples
    --------
    >>> check_inference(None, "LeaveOneOut(inference=)")
    >>> check_inference("own", "LeaveOneOut(inference=)", "own")
    """
    if given is None or (isinstance(given, str) and given in words):
        return
    if not isinstance(given, type) and hasattr(given, "attach"):
        return
    todo = "make it: ClusterRobust('CR2') or Permutation('t'), say; or leave it out"
    if isinstance(given, type) and hasattr(given, "attach"):
        todo = f"make it: inference={given.__name__}(…)"
    elif isinstance(given, str) and given.upper() in _CORRECTIONS:
        todo = f"write inference=ClusterRobust({given.upper()!r})"
    said = "".join(f", {word!r}" for word in words)
    raise InferenceError(
        needed=f"inference=None{said}, or an inference such as ClusterRobust('CR2')",
        found=f"the class {given.__name__}" if isinstance(given, type) else repr(given)[:80],
        where=where,
        todo=todo,
    )
