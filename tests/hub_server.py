"""A Hugging Face Hub of our own on loopback: repositories, commits, tags and LFS in memory, spoken to by the real
huggingface_hub and datasets clients. The requests it answers are those that the clients were seen to send."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

TOKEN = "hf_thetokenofthetests"
LARGE = (".parquet", ".safetensors")


@dataclass
class Repo:
    """One repository: commits by hash, oldest first, each a mapping of path to content."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    committing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def commit(self, title: str, files: dict[str, bytes]) -> str:
        content = json.dumps([title, len(self.commits), sorted(files)]).encode()
        oid = hashlib.sha1(content + b"".join(files[name] for name in sorted(files))).hexdigest()
        self.commits[oid], self.titles[oid] = files, title
        return oid

    def resolve(self, revision: str) -> str | None:
        if revision in ("main", "refs/heads/main"):
            return self.head
        return self.tags.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """The server's state, for a test to look at and to disturb."""

    url: str
    repos: dict[str, Repo] = field(default_factory=dict)
    """By name; those of models under `models/owner/name`."""
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    fail: dict[str, int] = field(default_factory=dict)
    """Regular expression on `METHOD path` to the status it is answered with."""
    gates: dict[str, Callable[[], object]] = field(default_factory=dict)
    """Regular expression on `METHOD path` to what is called, and waited for, before it is answered."""


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:
        self.route()

    do_HEAD = do_POST = do_PUT = do_GET

    def route(self) -> None:
        url = urlparse(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        line = f"{self.command} {path}"
        self.hub.requests.append(line)
        self.hub.authorizations.add(self.headers.get("authorization", ""))
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        for pattern, wait in list(self.hub.gates.items()):
            if re.search(pattern, line):
                wait()
        for pattern, status in self.hub.fail.items():
            if re.search(pattern, line):
                return self.answer(status, {"error": "as the test asked"})
        for pattern, method in ROUTES:
            if found := re.fullmatch(pattern, line):
                return getattr(self, method)(*found.groups(), **({"query": query} if method == "tree" else {}))
        return self.answer(404, {"error": f"no route {line}"})

    def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code: str) -> None:
        status = 401 if code == "RepoNotFound" and not self.may() else 404
        self.answer(status, {"error": code}, {"x-error-code": code, "x-error-message": code})

    def may(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {TOKEN}"

    def repo(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(key_of(name))
        return None if repo is None or (repo.private and not self.may()) else repo

    def whoami(self) -> None:
        self.answer(200 if self.may() else 401, {"name": "owner", "type": "user", "orgs": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'owner'}/{asked['name']}"
        if not self.may():
            return self.answer(401, {"error": "Invalid username or password."})
        folder = f"datasets/{name}" if asked.get("type") == "dataset" else name
        if key_of(folder) in self.hub.repos:
            return self.answer(409, {"error": "You already created this repo", "url": self.hub.url})
        private = bool(asked.get("private") or asked.get("visibility") == "private")
        repo = self.hub.repos[key_of(folder)] = Repo(private)
        repo.commit("initial commit", {".gitattributes": b"*.parquet filter=lfs\n"})
        return self.answer(200, {"url": f"{self.hub.url}/{folder}", "name": name, "id": name})

    def validate(self) -> None:
        self.answer(200, {"errors": [], "warnings": []})

    def info(self, name: str, revision: str | None) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        oid = repo.resolve(revision or "main")
        if oid is None:
            return self.missing("RevisionNotFound")
        siblings = [{"rfilename": file} for file in sorted(repo.commits[oid])]
        return self.answer(200, {"id": name, "sha": oid, "private": repo.private, "tags": [], "siblings": siblings})

    def refs(self, name: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repo.tags.items()]
        main = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}]
        return self.answer(200, {"branches": main, "converts": [], "tags": tags})

    def tree(self, name: str, revision: str, below: str | None, *, query: dict[str, list[str]]) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        oid = repo.resolve(revision)
        if oid is None:
            return self.missing("RevisionNotFound")
        recursive = query.get("recursive", ["false"])[0].lower() == "true"
        prefix = f"{below}/" if below else ""
        entries: dict[str, dict[str, Any]] = {}
        for file, content in sorted(repo.commits[oid].items()):
            if not file.startswith(prefix):
                continue
            first, slash, _ = file.removeprefix(prefix).partition("/")
            if slash:
                folder = prefix + first
                entries[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            if recursive or not slash:
                entries[file] = {"type": "file", "path": file, "oid": git_oid(content), "size": len(content)}
                if file.endswith(LARGE):
                    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
                    entries[file]["lfs"] = lfs
        if below and not entries:
            return self.missing("EntryNotFound")
        return self.answer(200, list(entries.values()))

    def preupload(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        if not self.may():
            return self.answer(403, {"error": "this token may not write"})
        there = repo.commits[repo.head]
        files = []
        for asked in json.loads(self.body)["files"]:
            lfs = asked["path"].endswith(LARGE)
            content = there.get(asked["path"])
            oid = None if content is None else hashlib.sha256(content).hexdigest() if lfs else git_oid(content)
            mode = "lfs" if lfs else "regular"
            files.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return self.answer(200, {"files": files})

    def batch(self, name: str) -> None:
        objects = []
        for asked in json.loads(self.body)["objects"]:
            entry: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"], "authenticated": True}
            if asked["oid"] not in self.hub.objects:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{asked['oid']}"}}
            objects.append(entry)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.objects[oid] = self.body
        self.answer(200, b"")

    def commit(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with repo.committing:  # of two that name one parent, one is the first
            if header.get("parentCommit") not in (None, repo.head):
                return self.answer(412, {"error": "A commit has happened since. Please refresh and try again."})
            files = dict(repo.commits[repo.head])
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = self.hub.objects[value["oid"]]
                elif line["key"] == "deletedFile":
                    files.pop(value["path"])
            oid = repo.commit(header["summary"], files)
        url = f"{self.hub.url}/{name}/commit/{oid}"
        return self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def tag(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        tag = json.loads(self.body)["tag"]
        if tag in repo.tags:
            return self.answer(409, {"error": "Tag reference exists already"})
        repo.tags[tag] = repo.resolve(revision) or ""
        return self.answer(200, {})

    def file(self, name: str, revision: str, path: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return self.missing("RepoNotFound")
        oid = repo.resolve(revision)
        if oid is None:
            return self.missing("RevisionNotFound")
        content = repo.commits[oid].get(path)
        if content is None:
            return self.missing("EntryNotFound")
        etag = hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else git_oid(content)
        headers = {"etag": f'"{etag}"', "x-repo-commit": oid, "accept-ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "")):
            first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
            return self.answer(206, content[first : last + 1], headers)
        return self.answer(200, content, headers)


def git_oid(content: bytes) -> str:
    """The hash git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def key_of(name: str) -> str:
    """`datasets/owner/name`, `models/owner/name` or, as models are also called, `owner/name` as a key of `repos`."""
    return name.removeprefix("datasets/") if name.startswith("datasets/") else f"models/{name.removeprefix('models/')}"


_API = r"((?:datasets|models)/[\w.-]+/[\w.-]+)"
_REPO = r"((?:datasets/)?[\w.-]+/[\w.-]+)"
ROUTES = [
    (r"GET /api/whoami-v2", "whoami"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate"),
    (rf"GET /api/{_API}/refs", "refs"),
    (rf"GET /api/{_API}/tree/([^/]+)(?:/(.+))?", "tree"),
    (rf"POST /api/{_API}/preupload/([^/]+)", "preupload"),
    (rf"POST /api/{_API}/commit/([^/]+)", "commit"),
    (rf"POST /api/{_API}/tag/([^/]+)", "tag"),
    (rf"GET /api/{_API}(?:/revision/([^/]+))?", "info"),
    (rf"POST /{_REPO}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /lfs/(\w+)", "put"),
    (rf"(?:GET|HEAD) /{_REPO}/resolve/([^/]+)/(.+)", "file"),
]
