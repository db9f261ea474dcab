"""Nested loops: the inner one counts anew in each round of the outer one.

python examples/nested_loops.py
"""

from engine import task, workflow


@task(max_cycle=2)
def epoch(rate=8):
    """The outer head. In its second iteration the loop edge brings `rate`."""
    return {"rate": rate, "error": 100}


@task(max_cycle=3)
def step(rate, error):
    """The inner head, which is its own source."""
    return {"rate": rate, "error": error - rate}


@task
def slower(step):
    return {"rate": step["rate"] // 2, "reached": step["error"]}


@task
def report(reached):
    return f"an error of {reached}"


def main():
    with workflow("training") as wf:
        epoch >> step >> slower >> report
        wf.add_edge(step, step)
        wf.add_edge(slower, epoch)
        result = wf.execute()
    for name in ("epoch", "step", "slower", "report"):
        print(name, result.state(name).iteration)
    print(result.results["report"])


if __name__ == "__main__":
    main()
