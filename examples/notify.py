"""A step that tells people. A local run hands its notices to a notifier; without one they are kept and logged.

python examples/notify.py
"""

from engine import WorkflowContext

DOCUMENT = {
    "schema": "graflow/1",
    "name": "news",
    "inputs": {"type": "object", "properties": {"title": {"type": "string"}}},
    "tasks": [
        {"id": "publish", "kind": "transform", "value": {"title": {"$": "inputs.title"}}},
        {
            "id": "tell",
            "kind": "notify",
            "to": ["ann", "group:editors"],
            "subject": {"$": '"Online: " + publish.title'},
            "message": "Have a look.",
        },
    ],
    "edges": [{"source": "publish", "target": "tell"}],
}


class Printed:
    def notify(self, notice):
        print(f"{notice.subject} (to {', '.join(notice.to)})")


def main():
    wf = WorkflowContext.from_definition(DOCUMENT, services={"notifier": Printed()})
    result = wf.execute(inputs={"title": "Loops"})
    print(result.status, result.results["tell"])


if __name__ == "__main__":
    main()
