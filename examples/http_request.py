"""A step that calls a web service, allowed by a policy. Here the service is a server on this machine.

python examples/http_request.py
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from engine import HttpPolicy, WorkflowContext


class Prices(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "price": 7}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    server = HTTPServer(("127.0.0.1", 0), Prices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    document = {
        "schema": "graflow/1",
        "name": "prices",
        "tasks": [
            {"id": "ask", "kind": "http", "url": f"http://127.0.0.1:{port}/prices", "query": {"item": "tea"}},
            {"id": "double", "kind": "transform", "value": {"$": "double(ask.body.price) * 2.0"}},
        ],
        "edges": [{"source": "ask", "target": "double"}],
    }
    # Private addresses are refused unless the policy names them.
    policy = HttpPolicy.of("127.0.0.1", ports=str(port), allow_private="127.0.0.0/8")
    result = WorkflowContext.from_definition(document, services={"http": policy}).execute()
    server.shutdown()
    print(result.results["ask"]["body"]["path"], result.results["double"])


if __name__ == "__main__":
    main()
