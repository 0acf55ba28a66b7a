"""A small OpenAI-compatible server that streams, for load generators to measure: python server.py PORT.

Tokens are words. One lock stands for the GPU: a prompt holds it for 20 us a token, and answers come at 4 ms a token
and more the more there are. On 127.0.0.1 alone; the files beside were measured against it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

gpu = threading.Lock()
running = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": [{"id": "toy", "object": "model"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        global running
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = " ".join(str(m.get("content")) for m in asked.get("messages", [])) or str(
            asked.get("prompt", "")
        )
        prompt = len(text.split())
        n = int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 16)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with gpu:
            time.sleep(0.002 + 20e-6 * prompt)
        running += 1
        for at in range(n):
            if at:
                time.sleep(0.004 + 0.0004 * running)
            self._event({"choices": [{"index": 0, "delta": {"content": f"w{at % 50} "}}]})
        running -= 1
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": prompt, "completion_tokens": n, "total_tokens": prompt + n}
        self._event({"choices": [], "usage": usage})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, data: dict) -> None:
        data = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "toy"} | data
        self._chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
