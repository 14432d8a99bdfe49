"""A small web API for trying out the connector: users and teams in memory. Your system replaces it.

    python3 sample_api.py [PORT]        the token is "sample-token"; with "read-only-token" nothing can be changed
"""

import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKENS = {"sample-token": True, "read-only-token": False}
TEXTS = ("login", "mail", "given_name", "surname", "title")
teams = {f"t{number}": {"id": f"t{number}", "name": name} for number, name in enumerate(("Engineering", "Sales", "Support"), 1)}
users, passwords, counter, lock = {}, {}, [0], threading.Lock()


class Refused(Exception):
    def __init__(self, status, problem):
        self.status, self.problem = status, problem


def add(fields):
    counter[0] += 1
    id = f"u{counter[0]:06}"
    users[id] = {"id": id, "enabled": True, "teams": [], **dict.fromkeys(TEXTS)}
    change(users[id], fields)
    return users[id]


def change(user, fields):
    for name, value in fields.items():
        fits = (value is None or isinstance(value, str) and "\0" not in value) if name in TEXTS else name in ("enabled", "teams", "password")
        if not fits:
            raise Refused(422, f"{name} cannot be set so")
    names = [(name, value.lower()) for name, value in fields.items() if name in ("login", "mail") and value]
    for other in users.values():
        if other is not user and any((other[name] or "").lower() == value for name, value in names):
            raise Refused(409, "the login or the email is taken")
    if not all(id in teams for id in fields.get("teams", [])):
        raise Refused(422, "team not found")
    passwords.update({user["id"]: fields["password"]} if "password" in fields else {})
    user.update({name: value for name, value in fields.items() if name != "password"})


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        try:
            if token not in TOKENS:
                raise Refused(401, "who are you?")
            if self.command != "GET" and not TOKENS[token]:
                raise Refused(403, "this token is read-only")
            with lock:
                status, told = self.route(url.path.strip("/").split("/"), query, json.loads(body) if body else None)
        except Refused as refused:
            status, told = refused.status, {"problem": refused.problem}
        data = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def route(self, parts, query, body):
        kind, id = parts[0], urllib.parse.unquote(parts[1]) if len(parts) > 1 else None
        table = {"users": users, "teams": teams}.get(kind)
        if table is None or (id is not None and id not in table):
            raise Refused(404, "not found")
        if self.command == "GET" and id is not None:
            return 200, table[id]
        if self.command == "GET":
            # Like many APIs, it finds every name that contains the text, and limits the page size.
            limit = min(int(query.get("limit", 100)), 100)
            fits = lambda one: all(text.lower() in (one.get(name) or "").lower() for name, text in query.items() if name in TEXTS)
            rest = [table[key] for key in sorted(table) if key > query.get("after", "") and fits(table[key])]
            return 200, {"items": rest[:limit], "next": rest[limit - 1]["id"] if len(rest) > limit else None}
        if kind == "users" and self.command == "POST" and id is None:
            try:
                return 201, add(body)
            except Refused:
                users.pop(f"u{counter[0]:06}", None)
                raise
        if kind == "users" and self.command == "PATCH" and id:
            change(users[id], body)
            return 200, users[id]
        if kind == "users" and self.command == "DELETE" and id:
            del users[id]
            return 204, None
        raise Refused(405, "that cannot be done")


for number, name in enumerate(("ada", "grace", "alan"), 1):
    add({"login": name, "mail": f"{name}@example.org", "teams": [f"t{number}"]})
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8099), Api)
print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
