"""Channels: data that tasks of one run share. Writes count when their task succeeds, and none is lost.

python examples/shared_channels.py
"""

from engine import channel_pull, channel_push, task, workflow


@task
@channel_push("settings", key="data")
def configure():
    return {"currency": "EUR"}


@task
def shop(context):
    sales = context.get_channel("sales")
    sales.incr("total", by=40)
    sales.append("who", "shop")


@task(max_retries=1, retry_delay=0.01)
def market(context):
    sales = context.get_channel("sales")
    sales.incr("total", by=2)
    if context.attempt == 1:
        raise OSError("rain")  # what this try wrote is dropped, so the second does not count twice
    sales.append("who", "market")


@task
@channel_pull({"settings": "settings", "total": "sales:total", "who": "sales:who"})
def report(settings, total, who):
    return f"{total} {settings['currency']} by {' and '.join(sorted(who))}"


def main():
    with workflow("sales", execution_mode="parallel") as wf:
        configure >> (shop | market) >> report
        result = wf.execute()
    print(result.results["report"])
    print(wf.execution_context.get_channel("sales").get("total"))


if __name__ == "__main__":
    main()
