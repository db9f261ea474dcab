"""Tasks of the example *refine until converged*: Newton's method, one step per iteration."""

from __future__ import annotations

from typing import Any

from engine import task


@task(name="demo.first_guess")
def first_guess(number: float) -> dict[str, float]:
    """A first guess for the square root of a number.

    Args:
        number: A number above 0.
    """
    if number <= 0:
        raise ValueError(f"number={number}: the square root is sought of a number above 0")
    return {"number": float(number), "guess": max(1.0, number / 2)}


@task(name="demo.newton_step", max_cycle=50)
def newton_step(number: float, guess: float) -> dict[str, float]:
    """Improve a guess for a square root by one step of Newton's method.

    Args:
        number: The number whose root is sought.
        guess: The guess so far.
    """
    better = (guess + number / guess) / 2
    return {"number": number, "guess": better, "error": abs(better * better - number)}


@task(name="demo.describe_root")
def describe_root(number: float, guess: float, error: float) -> dict[str, Any]:
    """Say in a sentence what was found.

    Args:
        number: The number whose root was sought.
        guess: The root found.
        error: How far its square is from the number.
    """
    return {"root": guess, "error": error, "sentence": f"The square root of {number:g} is {guess:.9g}."}
