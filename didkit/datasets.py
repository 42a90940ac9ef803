"""The public door to the packaged data: a synthetic evaluation whose truth is known."""

from didkit.simulate import PackagedEvaluation, load_evaluation

__all__ = ["PackagedEvaluation", "load_evaluation"]
