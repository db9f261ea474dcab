"""An error edge as recovery: a failure that an edge takes care of does not fail the run.

python examples/error_edge.py
"""

from engine import task, workflow


@task(max_retries=0)
def live_price(context):
    if not context.inputs["online"]:
        raise ConnectionError("the exchange is closed")
    return {"price": 101}


@task
def last_known_price(error):
    """Over an error edge comes `{"error": text}`."""
    return {"price": 99, "because": error}


@task(join="any")
def quote(price):
    """Starts with whichever of the two worked."""
    return f"{price} EUR"


def main():
    with workflow("quote") as wf:
        live_price >> quote
        wf.add_edge(live_price, last_known_price, on="error")
        last_known_price >> quote
    for online in (True, False):
        result = wf.execute(inputs={"online": online})
        print(result.status, result.results["quote"], result.error("live_price"))


if __name__ == "__main__":
    main()
