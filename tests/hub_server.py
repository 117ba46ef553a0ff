"""A small server on this machine that answers as the hub does, for the real client libraries."""

import hashlib
import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Files = Mapping[str, bytes]
_API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)(/(?P<what>revision|tree|paths-info)/(?P<rest>.+))?"
)
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<rest>.+)")


@dataclass
class Repo:
    """A repository: its commits, the newest last."""

    commits: dict[str, Files] = field(default_factory=dict[str, Files])
    gated: bool = False

    def commit(self, files: Files) -> str:
        """Move `main` to new files; returns the commit's hash."""
        listed = json.dumps([[name, hashlib.sha1(raw).hexdigest()] for name, raw in sorted(files.items())])
        sha = hashlib.sha1(f"{len(self.commits)}{listed}".encode()).hexdigest()
        self.commits[sha] = files
        return sha

    def find(self, revision: str) -> str | None:
        """The hash of a revision."""
        return list(self.commits)[-1] if revision == "main" else revision if revision in self.commits else None


@dataclass
class Hub:
    """What the server has, what it was asked, and which files it sends only half of the first time."""

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict[tuple[str, str], Repo])
    drop_once: set[str] = field(default_factory=set[str])
    ranges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    endpoint: str = ""

    def repo(self, kind: str, name: str, *, gated: bool = False) -> Repo:
        """The repository of `models` or `datasets`, made where it is not there."""
        return self.repos.setdefault((kind, name), Repo(gated=gated))


@contextmanager
def running_hub() -> Generator[Hub]:
    """A hub on a free port of 127.0.0.1."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self._answer(parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _answer(self, form: Mapping[str, list[str]] | None = None) -> None:  # noqa: PLR0911 (one for each kind of answer)
        path = unquote(urlsplit(self.path).path)
        match = _API.fullmatch(path) or _FILE.fullmatch(path)
        if match is None:
            return self._fail(404, "EntryNotFound")
        api = path.startswith("/api/")
        kind = match["kind"] if api else ("datasets" if match["kind"] else "models")
        repo = self.hub.repos.get((kind, match["repo"]))
        if repo is None:
            return self._fail(404, "RepoNotFound")
        revision, _, inner = (match["rest"] or "main").partition("/")
        sha = repo.find(revision)
        if sha is None:
            return self._fail(404, "RevisionNotFound")
        if not api:
            return self._file(repo, sha, inner)
        if match["what"] == "tree":
            return self._json(_tree(repo.commits[sha], inner))
        if match["what"] == "paths-info":
            wanted = (form or {}).get("paths", [])
            return self._json([entry for entry in _tree(repo.commits[sha], "") if entry["path"] in wanted])
        siblings = [{"rfilename": name} for name in repo.commits[sha]]
        about = {"_id": "0" * 24, "private": False, "tags": [], "downloads": 0, "likes": 0, "cardData": {}}
        about |= {"id": match["repo"], "sha": sha, "siblings": siblings, "lastModified": "2026-01-01T00:00:00.000Z"}
        return self._json(about | {"gated": "manual" if repo.gated else False})

    def _file(self, repo: Repo, sha: str, name: str) -> None:
        raw = repo.commits[sha].get(name)
        if repo.gated:
            return self._fail(403, "GatedRepo", sha)
        if raw is None:
            return self._fail(404, "EntryNotFound", sha)
        start = 0
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start = int(asked[1])
            self.hub.ranges.append((name, asked[0]))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
        self.send_header("Content-Length", str(len(raw) - start))
        self.send_header("ETag", f'"{hashlib.sha1(raw).hexdigest()}"')
        self.send_header("X-Repo-Commit", sha)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if name in self.hub.drop_once:
            self.hub.drop_once.remove(name)
            self.wfile.write(raw[start : start + (len(raw) - start) // 2])
            self.close_connection = True
        else:
            self.wfile.write(raw[start:])
        return None

    def _json(self, value: Any) -> None:
        raw = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _fail(self, status: int, code: str, sha: str | None = None) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        if sha:
            self.send_header("X-Repo-Commit", sha)
        self.end_headers()


def _tree(files: Files, under: str) -> list[dict[str, Any]]:
    """Files and folders below a folder, all levels."""
    inside = {name: raw for name, raw in files.items() if name.startswith(f"{under}/" if under else "")}
    folders = {"/".join(name.split("/")[:depth]) for name in inside for depth in range(1, len(name.split("/")))} - {
        under
    }
    entries: list[dict[str, Any]] = [
        {"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)
    ]
    for name, raw in sorted(inside.items()):
        entries.append({"type": "file", "path": name, "size": len(raw), "oid": hashlib.sha1(raw).hexdigest()})
    return entries
