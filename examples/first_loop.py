"""A first loop: an edge with a condition leads back until the text is long enough.

python examples/first_loop.py
"""

from engine import task, workflow


@task(max_cycle=10)
def write(text="Loops"):
    """In the first iteration nothing fills `text`; later it is a key of what the loop edge brings."""
    return f"{text} again and"


@task
def count(write):
    return {"text": write, "words": len(write.split())}


@task
def finish(count):
    return f"{count['text']} again."


def main():
    with workflow("first loop") as wf:
        write >> count >> finish
        wf.add_edge(count, write, when="result.words < 6")
        result = wf.execute()
    print(result.results["finish"])
    print(f"{result.state('write').iteration} iterations of write, {result.state('finish').iteration} of finish")


if __name__ == "__main__":
    main()
