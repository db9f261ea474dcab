"""Retries with backoff: each try waits longer than the one before, and every try is on record.

python examples/retries.py
"""

from engine import TerminalError, task, workflow


@task(max_retries=4, retry_delay=0.01, backoff=2.0, retry_on=ConnectionError)
def fetch(context):
    """Fails twice. `retry_on` keeps programming mistakes from being tried again."""
    if context.attempt < 3:
        raise ConnectionError(f"no answer to try {context.attempt}")
    return "the page"


@task(max_retries=4, on_error="ignore")
def decorate(fetch):
    """No further try could mend this, so none is made; the run goes on without it."""
    raise TerminalError("there is no printer")


def main():
    with workflow("retries") as wf:
        fetch >> decorate
        result = wf.execute()
    for record in result.attempts("fetch"):
        print(record.number, record.error or "worked")
    print(result.status, result.results, f"{len(result.attempts('decorate'))} try of decorate")


if __name__ == "__main__":
    main()
