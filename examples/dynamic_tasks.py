"""Tasks made while running: one per item, and what follows waits for all of them.

python examples/dynamic_tasks.py
"""

from engine import task, workflow


@task
def measure(word, context):
    context.get_channel("lengths").append("all", len(word))


@task
def log_total(total):
    return f"noted: {total}"


@task
def split(text, context):
    """Each word becomes a task. With join (the default of map) `total` waits until they have ended."""
    return context.map(measure, text.split())


@task
def total(split, context):
    found = sum(context.get_channel("lengths").get("all"))
    context.next_task(log_total, total=found)  # nobody waits for this one but the run itself
    return found


def main():
    with workflow("dynamic") as wf:
        split >> total
        result = wf.execute(inputs={"text": "many hands make light work"})
    print(len(result.results["split"]), "tasks measured", result.results["total"], "letters")
    print([value for name, value in result.results.items() if name.startswith("log_total_")])


if __name__ == "__main__":
    main()
