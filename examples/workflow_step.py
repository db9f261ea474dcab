"""A workflow as a step of another one; its question is answered where the whole run is.

python examples/workflow_step.py
"""

from engine import WorkflowContext

REVIEW = {
    "schema": "graflow/1",
    "name": "review",
    "inputs": {"type": "object", "properties": {"text": {"type": "string"}}},
    "tasks": [{"id": "ask", "kind": "approval", "prompt": "Print this?", "data": {"$": "inputs.text"}}],
}
PRINT = {
    "schema": "graflow/1",
    "name": "print",
    "tasks": [
        {"id": "write", "kind": "transform", "value": "Loops"},
        {"id": "review", "kind": "workflow", "workflow": "review", "inputs": {"text": {"$": "write"}}},
        {"id": "print", "kind": "transform", "value": {"$": '"printed " + review'}},
    ],
    "edges": [{"source": "write", "target": "review"}, {"source": "review", "target": "print"}],
}


def main():
    wf = WorkflowContext.from_definition(PRINT, workflows={"review": REVIEW})
    while (result := wf.execute()).status == "waiting":
        manager = wf.execution_context.feedback_manager
        for feedback_id, request in manager.pending_feedback.items():
            print(request["prompt"], request["data"])
            manager.approve(feedback_id)
    print(result.status, result.results["print"])


if __name__ == "__main__":
    main()
