"""Refine until converged: the loop ends when two results in a row hardly differ.

python examples/refine.py
"""

from engine import task, workflow


@task
def start():
    return {"number": 612.0, "guess": 10.0}


@task(max_cycle=20, converge=1e-9)
def improve(number, guess):
    """Newton's way to a square root."""
    return {"number": number, "guess": (guess + number / guess) / 2}


@task
def report(guess):
    return round(guess, 6)


def main():
    with workflow("square root") as wf:
        start >> improve >> report
        wf.add_edge(improve, improve)
        result = wf.execute()
    print(result.results["report"], result.reason("improve"), f"in {result.state('improve').iteration} iterations")


if __name__ == "__main__":
    main()
