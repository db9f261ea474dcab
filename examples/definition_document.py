"""A workflow as a document: written to JSON, read back, and refused with every mistake at once.

python examples/definition_document.py
"""

import json

from engine import DefinitionError, WorkflowContext, task, workflow


@task(max_cycle=4)
def halve(low=0, high=16):
    return {"low": low, "high": high, "guess": (low + high) // 2}


@task
def compare(low, high, guess, secret):
    """`low`, `high` and `guess` are keys of the one upstream result, `secret` is an input of the run."""
    low, high = (low, guess) if guess > secret else (guess, high)
    return {"low": low, "high": high, "found": guess == secret}


def main():
    with workflow("search") as wf:
        halve >> compare
        wf.add_edge(compare, halve, when="!result.found")
    document = json.loads(json.dumps(wf.to_definition()))
    document["inputs"] = {"type": "object", "properties": {"secret": {"type": "integer"}}, "required": ["secret"]}

    again = WorkflowContext.from_definition(document)
    result = again.execute(inputs={"secret": 11})
    print(result.results["compare"], f"after {result.state('halve').iteration} guesses")
    print(again.to_definition() == document)

    document["tasks"][1]["uses"] = "compear"
    document["edges"][0]["colour"] = "red"
    try:
        WorkflowContext.from_definition(document)
    except DefinitionError as error:
        for problem in error.problems:
            print(problem.path, problem.code)


if __name__ == "__main__":
    main()
