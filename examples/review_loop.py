"""A review loop: a rejection goes back to the author, who is told the reason. Here code plays the reviewer.

python examples/review_loop.py
"""

from engine import task, workflow


@task(max_cycle=5)
def draft(reason=""):
    """`reason` comes over the rejected edge; the first draft has none."""
    return {"title": "Loops", "length": 900 if "shorter" in reason else 2_000}


@task
def review(draft, context):
    return context.ask("approval", f"Print {draft['title']!r}?", draft)


@task
def publish(review):
    return f"printed {review['length']} words"


def decide(manager):
    """What a person would do: look at the data, then approve or say what is wrong with it."""
    for feedback_id, request in manager.pending_feedback.items():
        print(request["prompt"], request["data"])
        if request["data"]["length"] > 1_000:
            manager.reject(feedback_id, "shorter, please")
        else:
            manager.approve(feedback_id)


def main():
    with workflow("review loop") as wf:
        draft >> review >> publish
        wf.add_edge(review, draft, on="rejected")
        while (result := wf.execute()).status == "waiting":
            decide(wf.execution_context.feedback_manager)
    print(result.status, result.results["publish"], f"after {result.state('draft').iteration} drafts")


if __name__ == "__main__":
    main()
