"""Tasks side by side, of which two have to work: the group's policy says what counts as success.

python examples/parallel_group.py
"""

from engine import task, workflow


@task
def north():
    return 20.5


@task(max_retries=0)
def south():
    raise ConnectionError("the station is silent")


@task
def east():
    return 21.5


@task
def average(north, south, east):
    """What a tolerated failure should have brought is None."""
    readings = [value for value in (north, south, east) if value is not None]
    return sum(readings) / len(readings)


def main():
    with workflow("weather", execution_mode="parallel", max_workers=3) as wf:
        (north | south | east).with_policy({"at_least": 2}) >> average
        result = wf.execute()
    print(result)
    print(f"{result.results['average']} degrees, and the run has {result.status}")


if __name__ == "__main__":
    main()
