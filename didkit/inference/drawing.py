"""How many draws, and from which seed: checked alike for every method that draws."""

from __future__ import annotations

from didkit.errors import InferenceError, is_whole

__all__ = ["check_draws"]


def check_draws(draws: object, seed: object, who: str) -> None:
    """Refuse draws and seeds that are no whole numbers, and fewer than 19 draws.

    Parameters
    ----------
    draws, seed : object
        As given.
    who : str
        The class that asks, for the message.

    Raises
    ------
    InferenceError
        With both as found.

    Examples
    --------
    >>> check_draws(999, 1, "Permutation")
    """
    if not is_whole(draws) or not is_whole(seed) or draws < 19 or seed < 0:  # type: ignore[operator]
        raise InferenceError(
            needed="whole numbers: draws= at least 19 (the least p is then .05), seed= at least 0",
            found=f"draws={draws!r}, seed={seed!r}",
            where=who,
            todo=f"for example {who}(draws=9999, seed=1)",
        )
