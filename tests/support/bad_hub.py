"""A hub on loopback, as huggingface_hub knows the real one, that misbehaves where it is told to. Large files are redirected to a second server:
the storage, another host as far as HTTP goes."""

import contextlib
import hashlib
import http.server
import json
import threading
import time
import urllib.parse

LARGE = 4096  # bytes from which a file is in the storage


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag_of(content):
    return git_hash(content) if len(content) < LARGE else hashlib.sha256(content).hexdigest()


class Repo:
    def __init__(self, files, revisions=("main",), gated=False, token=None):
        self.files = {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
        self.commit = hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()
        self.revisions, self.gated, self.token = {*revisions, self.commit}, gated, token
        self.listed = list(self.files)  # the names that the listing tells


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            super().handle()

    def answer(self, status, body=b"", length=None, **headers):
        """@param length what Content-Length says; the body may be shorter."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None and length != len(body):
            self.drop()

    def drop(self):
        self.wfile.flush()
        self.close_connection = True

    def refuse(self, status, code, message=""):
        self.answer(status, b"{}", X_Error_Code=code, X_Error_Message=message)

    def send_content(self, content, **headers):
        begin = self.headers.get("Range", "")
        if begin.startswith("bytes="):
            first = int(begin[6:].split("-")[0])
            if first >= len(content):
                return self.answer(416)
            headers["Content_Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return self.answer(206, content[first:], **headers)
        return self.answer(200, content, **headers)

    def do_GET(self):
        hub = self.server.hub
        path = urllib.parse.unquote(self.path.split("?")[0])
        with hub.lock:
            hub.requests.append((self.server.role, self.command, path, dict(self.headers)))
            trick = next((t for t in hub.tricks if t.fits(self.server.role, self.command, path)), None)
            if trick:
                trick.times -= 1
        if trick and trick.act(self, path) is not False:
            return
        (self.from_hub if self.server.role == "hub" else self.from_storage)(path)

    do_HEAD = do_GET

    def from_storage(self, path):
        content = self.server.hub.storage.get(path.strip("/"))
        if content is None or "Authorization" in self.headers:  # real storages refuse what they have not signed
            return self.answer(403 if content else 404)
        return self.send_content(content)

    def from_hub(self, path):
        hub = self.server.hub
        parts = path.strip("/").split("/")
        api = parts[0] == "api"
        kind = parts[1] if api else "datasets" if parts[0] == "datasets" else "models"
        parts = parts[2:] if api else parts[1:] if kind == "datasets" else parts
        repo = hub.repos.get((kind, "/".join(parts[:2])))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo is None or (repo.token and not repo.gated and token != repo.token):
            return self.refuse(401, "RepoNotFound", "Repository not found")
        revision = "/".join(parts[3:]) if api else parts[3]
        if revision not in repo.revisions and not (api and parts[2] == "tree"):
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        if api and parts[2] == "tree":  # transformers looks for a folder of chat templates
            return self.refuse(404, "EntryNotFound", "not found")
        if api:
            siblings = [{"rfilename": name} for name in repo.listed]
            return self.answer(200, json.dumps({"id": "/".join(parts[:2]), "sha": repo.commit, "siblings": siblings}).encode())
        if repo.gated and token != repo.token:
            return self.refuse(403 if token else 401, "GatedRepo", "Access to it is restricted")
        content = repo.files.get("/".join(parts[4:]))
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        etag = etag_of(content)
        if len(content) < LARGE:
            return self.send_content(content, ETag=f'"{etag}"', X_Repo_Commit=repo.commit)
        hub.storage[etag] = content
        return self.answer(302, b"Found", Location=f"http://127.0.0.1:{hub.ports['storage']}/{etag}", X_Repo_Commit=repo.commit, X_Linked_Etag=f'"{etag}"',
                           X_Linked_Size=str(len(content)), ETag='"of-the-redirect"')


class Trick:
    def __init__(self, role, command, part, act, times):
        self.role, self.command, self.part, self.act, self.times = role, command, part, act, times

    def fits(self, role, command, path):
        return self.times > 0 and (role, command) == (self.role, self.command) and self.part in path


class Hub:
    """Both servers, for as long as the context lasts."""

    def __enter__(self):
        self.repos, self.storage, self.requests, self.tricks, self.lock = {}, {}, [], [], threading.Lock()
        self.servers, self.ports = [], {}
        for role in ("hub", "storage"):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            server.hub, server.role = self, role
            self.ports[role] = server.server_address[1]
            self.servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.ports['hub']}"
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def model(self, name, files, **settings):
        self.repos["models", name] = Repo(files, **settings)
        return self.repos["models", name]

    def dataset(self, name, files, **settings):
        self.repos["datasets", name] = Repo(files, **settings)
        return self.repos["datasets", name]

    def trick(self, act, part="", role="storage", command="GET", times=1):
        """From now on, `times` requests of that kind are answered by act(handler, path); where it returns False, as usual after it."""
        self.tricks.append(Trick(role, command, part, act, times))

    def asked(self, role=None, command=None, part=""):
        with self.lock:
            return [r for r in self.requests if role in (None, r[0]) and command in (None, r[1]) and part in r[2]]

    def forget(self):
        with self.lock:
            self.requests.clear()
            self.tricks.clear()


# What a server may do to a request for a content.

def drops_after(count):
    def act(handler, path):
        content = handler.server.hub.storage[path.strip("/")]
        first = int(handler.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        handler.answer(206 if first else 200, content[first:first + count], length=len(content) - first,
                       **({"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}))
    return act


def says_shorter(count):
    """A whole answer, as far as its Content-Length goes, of fewer bytes than the file has."""
    return lambda handler, path: handler.answer(200, handler.server.hub.storage[path.strip("/")][:count])


def ignores_range(handler, path):
    handler.answer(200, handler.server.hub.storage[path.strip("/")])


def changes_bytes(handler, path):
    content = bytearray(handler.server.hub.storage[path.strip("/")])
    content[len(content) // 2] ^= 1
    handler.send_content(bytes(content))


def status(code, **headers):
    return lambda handler, _: handler.answer(code, **headers)


def hangs(seconds):
    def act(handler, _):
        time.sleep(seconds)
        handler.drop()
    return act


def is_slow(seconds):
    def act(*_):
        time.sleep(seconds)
        return False
    return act
