"""A completions server in the manner of OpenAI's: `python completions_server.py FOLDER` prints its port and serves.

It answers prompts of token ids with their log-probabilities (echo, logprobs) and one more token, by FOLDER's model.
--list names the model and how much it reads, as vLLM does; --also names another; --longest N refuses what is longer
with the token it generates; --dies-after N ends the process at the request after N.
"""

import argparse
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import torch
from transformers import AutoModelForCausalLM


def completion(model: Any, index: int, prompt: list[int]) -> dict[str, Any]:
    with torch.inference_mode():
        log_probs = model(torch.tensor([prompt])).logits[0].log_softmax(-1)
    following = [*prompt[1:], int(log_probs[-1].argmax())]
    token_logprobs = [None, *(float(log_probs[row, token]) for row, token in enumerate(following))]
    best = [{str(int(row.argmax())): float(row.max())} for row in log_probs]
    return {
        "index": index,
        "text": "",
        "logprobs": {
            "tokens": [str(token) for token in (*prompt, following[-1])],
            "token_logprobs": token_logprobs,
            "top_logprobs": [None, *best],
        },
    }


class Handler(BaseHTTPRequestHandler):
    model: Any = None
    settings: Any = None
    answered = 0

    def do_GET(self):
        if self.path != "/v1/models" or not self.settings.list:
            self.send_error(404)
            return
        names = [self.settings.folder, *self.settings.also]
        longest = self.settings.longest or 4096
        self.answer({"data": [{"id": name, "max_model_len": longest, "owned_by": "us"} for name in names]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions" or not body["echo"] or body["max_tokens"] != 1:
            self.send_error(400)
            return
        if self.settings.dies_after is not None and Handler.answered >= self.settings.dies_after:
            os._exit(1)
        Handler.answered += 1
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        longest = self.settings.longest
        if longest is not None and any(len(prompt) >= longest for prompt in prompts):
            self.answer({"error": f"this server reads {longest} tokens"}, status=400)
            return
        if self.settings.list and body["model"] not in (self.settings.folder, *self.settings.also):
            self.send_error(404)
            return
        choices = [completion(self.model, index, prompt) for index, prompt in enumerate(prompts)]
        self.answer({"object": "text_completion", "model": body["model"], "choices": choices})

    def answer(self, content: dict[str, Any], status: int = 200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any):
        pass


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--longest", type=int)
    parser.add_argument("--dies-after", type=int)
    Handler.settings = parser.parse_args()
    Handler.model = AutoModelForCausalLM.from_pretrained(Handler.settings.folder).eval()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
