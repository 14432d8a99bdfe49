"""Everything that a bridgehead connector in Python needs besides its own code: the protocol, errors, HTTP, paging and redaction.

Copied into your project by `bridgehead new`; it is yours, and needs Python 3.9 or later and nothing else. A connector is a
subclass of `Connector` and a last line, `serve(MyConnector)`. bridgehead's docs/connectors/exec.md explains the protocol.
"""

import base64
import concurrent.futures
import http.client
import json
import os
import socket
import ssl
import sys
import threading
import traceback
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from email.utils import parsedate_to_datetime

PASSWORD = ("new_password", "password")
NAMES = ("username", "email", "first_name", "last_name", "display_name")
STATUSES = ("active", "inactive", "suspended")
ELSEWHERE = ("id", "account_id", "memberships", "assignments", "status", *PASSWORD)
CURSOR = "at:"
LARGEST = 16 * 1024 * 1024  # the maximum size of a response in bytes
call = threading.local()  # the current call of this thread: whether it has changed anything, and its secrets


class Failure(Exception):
    """An error with its four parts. Omitted parts depend on the code, as docs/connectors/exec.md explains.

    code: ACCOUNT_NOT_FOUND, ACCOUNT_ALREADY_EXISTS, LICENSE_EXHAUSTED, PERMISSION_DENIED, RATE_LIMITED, TIMEOUT, INTERNAL_ERROR
    effect: "not_applied" only if it is certain that nothing was changed, otherwise "unknown"
    retry: "never" or "backoff"; retry_after: seconds that the target asks to wait
    subject: what it is about: "account", "group", "license", or "connection" if every call would fail
    """

    def __init__(self, code, message, **parts):
        super().__init__(message)
        self.code, self.message = code, message
        self.parts = {name: part for name, part in parts.items() if part is not None}


def refused(message, **parts):
    """The target does not support the request, and nothing was changed."""
    return Failure("INTERNAL_ERROR", message, effect="not_applied", **parts)


def is_id(value):
    return isinstance(value, str) and value != ""


def _folded(name):
    """A name without the differences of case and of Unicode forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class Task:
    """A validated task: `fields` contains only names from `Connector.fields`, with a string or None (to clear the field)."""

    def __init__(self, connector, action, params):
        account, changes = params["account"], params.get("changes") or {}
        create, sets = action == "create_account", action in ("create_account", "update_account")
        # Fields of other actions are not requests to set them.
        given = {**(account if create else {}), **(changes if sets else {})}
        self.action, self.task_id, self.account = action, params["task_id"], account
        self.may_have_applied = params.get("may_have_applied", False)
        #: Fields of a new account that the target cannot store. They are listed in the result and left out.
        self.not_kept = []
        self.fields = {}
        for name, value in given.items():
            if name in ELSEWHERE:
                continue
            if name not in connector.fields and create and name not in changes:
                self.not_kept += [name] if value is not None else []
            elif name not in connector.fields or not (value is None or isinstance(value, str)):
                raise refused(f"{connector.app} cannot store this value of the field '{name}'")
            elif value is not None or not create:
                self.fields[name] = value
        #: "active", "inactive", "suspended", or None if the task does not set it.
        self.status = given.get("status")
        if self.status is not None and self.status not in STATUSES:
            raise refused(f"{connector.app} does not have this status as the task asks for")
        places = (changes, account, params)
        self.password = self._password(connector, places) if sets or action == "reset_password" else None
        #: By slug, the complete list of ids for the account. Memberships of other slugs stay unchanged.
        self.memberships = {}
        for slug, refs in (params.get("memberships") or {}).items() if sets else ():
            if connector.types.get(slug) not in ("group", "license"):
                raise refused(f"{connector.app} has no groups or licenses of the type {slug}", subject="group")
            ids = [ref.get("id") if isinstance(ref, dict) else ref for ref in refs]
            if not all(isinstance(id, str) and id for id in ids):
                raise refused(f"a reference to a {slug} of {connector.app} must have an id", subject="group")
            self.memberships[slug] = list(dict.fromkeys(ids))

    @staticmethod
    def _password(connector, places):
        found = [place[name] for place in places for name in PASSWORD if place.get(name) is not None]
        if not found:
            return None
        if not isinstance(found[0], str) or not found[0]:
            raise refused(f"a password of {connector.app} must be non-empty text")
        if not connector.passwords:
            raise refused(f"{connector.app} does not store passwords; omit them from what Iden sends")
        return found[0]


class Connector:
    """Subclass this. Every method may raise `Failure`; any other exception is an INTERNAL_ERROR of unknown effect."""

    name = "connector"
    version = "0.1.0"
    #: The slugs of the listed types, in this order, with their kind: "group", "license" or "account".
    types = {"account": "account"}
    #: The fields of an account that can be set.
    fields = NAMES
    #: Fields that the target accepts but never returns.
    unverifiable = ()
    #: Whether the target stores passwords.
    passwords = False

    def __init__(self, app, settings):
        #: The name of the target in messages, and the table `settings` of the configuration.
        self.app, self.settings = app, settings

    def check(self):
        """Fails if the target is unreachable or rejects the credential. Changes nothing."""
        raise NotImplementedError

    def list(self, slug, cursor):
        """Returns one page: (records, cursor of the next page). The cursor is None at the end, and None requests the first page. An account
        that is missing from a completed listing is removed, so unreadable data must be a Failure, never a short page."""
        raise NotImplementedError

    def search(self, field, text):
        """Returns the records of accounts whose `field` ("id", "username" or "email") may be `text`; additional ones do no harm. An
        empty list means that the account definitely does not exist."""
        raise NotImplementedError

    # Only the methods that you implement are declared as capabilities. `found` is the record that `search` returned.
    #
    #   create_account(task) -> id        update_account(found, task)       delete_account(found)
    #   suspend_account(found)            unsuspend_account(found)          reset_password(found, password) -> result or None

    def find(self, account):
        """Returns the record of an account, by its id, otherwise by its user name, otherwise by its email; None if it does not exist."""
        field = next((name for name in ("id", "username", "email") if account.get(name)), None)
        if field is None:
            return None
        wanted = str(account[field])
        same = (lambda text: text == wanted) if field == "id" else (lambda text: _folded(text) == _folded(wanted))
        records = self.search(field, wanted)
        # Unreadable data does not prove that the account is missing.
        if not all(is_id(one.get("id")) for one in records):
            raise Failure("INTERNAL_ERROR", f"{self.app} answered with an account that has no id")
        found = {one["id"]: one for one in records if one.get(field) and same(str(one[field]))}
        if len(found) > 1:
            raise refused(f"{self.app} has several accounts with the {field} {wanted}; cannot tell which one to use")
        return next(iter(found.values()), None)

    def _free(self, task, own):
        for field in ("username", "email"):
            name = task.fields.get(field)
            other = self.find({field: name}) if name else None
            if other and other["id"] != own:
                raise Failure("ACCOUNT_ALREADY_EXISTS", f"User {name} exists in {self.app} already")

    def _execute(self, action, params):
        task = Task(self, action, params)
        if action == "create_account":
            if not task.fields.get("username") and not task.fields.get("email"):
                raise refused(f"an account of {self.app} needs a user name or an email address")
            self._free(task, None)
            result = {"account_id": self.create_account(task)}
            if not is_id(result["account_id"]):
                raise Failure("INTERNAL_ERROR", f"{self.app} did not say the id of the new account", effect="unknown")
            return {**result, "fields_not_kept": task.not_kept} if task.not_kept else result
        found = self.find(task.account)
        if found is None:
            label = next((task.account[name] for name in ("id", "username", "email") if task.account.get(name)), "?")
            raise Failure("ACCOUNT_NOT_FOUND", f"User {label} not found in {self.app}")
        if action == "update_account":
            after = {**found, **task.fields}
            if not after.get("username") and not after.get("email"):
                raise refused(f"an account of {self.app} needs a user name or an email address")
            self._free(task, found["id"])
            return self.update_account(found, task) or {}
        if action == "reset_password":
            if not task.password:
                raise refused(f"{self.app} does not generate passwords; the task must include one")
            return self.reset_password(found, task.password) or {}
        return getattr(self, action)(found) or {}


def _each_once(members):
    """The members of a JSON object. `json` would keep the last of two with the same name, and drop the first in silence."""
    if len(dict(members)) < len(members):
        raise ValueError("a member occurs twice")
    return dict(members)


class Http:
    """An HTTP API with JSON. Every unsuccessful response is a Failure that says what it means; redirects are not followed."""

    def __init__(self, connector, url, headers=None, timeout=20):
        self.app, self.url, self.timeout = connector.app, url.rstrip("/"), timeout
        self.headers = {"Accept": "application/json", **(headers or {})}
        self.opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context()))

    def get(self, path, absent=False, **query):
        """Returns the JSON response to a GET; None for a 404 with `absent`, for paths whose 404 definitely means "does not exist"."""
        return self.send("GET", path, query=query, absent=absent)

    def pages(self, path, query, cursor, next):
        """Yields every page of a search: `next` is the member with the cursor of the next page, `cursor` the parameter for it. A cursor
        that comes again is a Failure, because the search would never end."""
        query, seen = dict(query), set()
        while True:
            page = self.get(path, **query)
            yield page
            query[cursor] = page[next]
            if page[next] is None:
                return
            if page[next] in seen:
                raise Failure("INTERNAL_ERROR", f"{self.app} answers a search with the same cursor twice")
            seen.add(page[next])

    def send(self, method, path, body=None, query=None, absent=False):
        """Sends a request once: bridgehead decides about retries. `path` is a string, or a list of its segments."""
        if not isinstance(path, str):
            # These cannot be a segment of a URL path: without this check, another resource would be requested.
            if any(part in ("", ".", "..") or not part.isprintable() for part in path):
                if absent:
                    return None
                raise refused(f"{self.app} has nothing of this identifier")
            path = "/" + "/".join(urllib.parse.quote(part, safe="") for part in path)
        query = {name: value for name, value in (query or {}).items() if value is not None}
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, **({"Content-Type": "application/json"} if data else {})}
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        what, changes = f"{method} {path.split('?')[0]}", method not in ("GET", "HEAD")
        try:
            with self.opener.open(request, timeout=self.timeout) as answer:
                status, text = answer.status, answer.read(LARGEST + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404 and absent:
                    return None
                raise self._refusal(error, changes)
        except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken(error, changes)
        if changes:
            call.changed = True
        if len(text) > LARGEST:
            raise Failure("INTERNAL_ERROR", f"an answer of {self.app} is larger than {LARGEST} bytes")
        if not text and changes:
            return None
        try:
            found = json.loads(text, object_pairs_hook=_each_once)
        except ValueError:
            raise Failure("INTERNAL_ERROR", f"{self.app} answered {status} to {what} with invalid JSON")
        # None means that it does not exist, which only a 404 proves.
        if found is None and not changes:
            raise Failure("INTERNAL_ERROR", f"{self.app} answered {status} to {what} with nothing in it")
        return found

    def _refusal(self, error, changes):
        told, status, wait = f"{self.app} answered {error.code}", error.code, _retry_after(error.headers)
        nothing = "not_applied"
        if status == 401:
            return Failure("PERMISSION_DENIED", f"{self.app} rejected the connector's own credential (401)", effect=nothing,
                           retry="backoff", subject="connection")
        if status == 403:
            return Failure("PERMISSION_DENIED", f"{told}: the connector may not do this", effect=nothing)
        if status in (404, 410) and changes:
            return Failure("ACCOUNT_NOT_FOUND", told, effect=nothing)
        if status == 409 and changes:
            return Failure("ACCOUNT_ALREADY_EXISTS", told, effect=nothing)
        if status == 429:
            return Failure("RATE_LIMITED", f"{told}: it limits the rate of calls", effect=nothing, retry="backoff", retry_after=wait)
        if status in (408, 504):
            return Failure("TIMEOUT", told, effect="unknown", retry="backoff", retry_after=wait)
        if status >= 500:
            code = "RATE_LIMITED" if status == 503 and wait else "INTERNAL_ERROR"
            return Failure(code, told, effect="unknown", retry="backoff", retry_after=wait)
        return refused(told)

    def _broken(self, error, changes):
        cause = getattr(error, "reason", error)
        never_sent = isinstance(cause, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError))
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
        if never_sent:
            return Failure("TIMEOUT", f"{self.app} is unreachable: {reason}", effect="not_applied", retry="backoff", subject="connection")
        if isinstance(cause, TimeoutError):
            return Failure("TIMEOUT", f"{self.app} did not respond within {self.timeout} s", effect="unknown", retry="backoff")
        return Failure("TIMEOUT", f"the connection to {self.app} failed before it responded: {reason}", effect="unknown", retry="backoff", subject="connection")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None  # a credential must not be sent to the target of a redirect


def _retry_after(headers):
    text = (headers.get("Retry-After") or "").strip()
    if text.isdigit():
        return min(int(text), 3600)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers["Date"])
        return min(max((until - now).total_seconds(), 0), 3600)
    except (TypeError, ValueError, KeyError):
        return None


def _secrets_of(settings, inherited=False):
    """Returns the strings whose names indicate a secret."""
    found = []
    for name, value in settings.items():
        secret = inherited or any(part in name.lower() for part in ("password", "token", "secret", "key", "credential"))
        if isinstance(value, dict):
            found += _secrets_of(value, secret)
        elif secret and isinstance(value, str) and len(value) > 3:
            found.append(value)
    return found


def _redact(text, secrets):
    """Removes secrets as a second line of defense; the daemon removes them again, in more encodings. The first line is not to print them."""
    for secret in secrets:
        for form in (secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret, safe=""), base64.b64encode(secret.encode()).decode()):
            text = text.replace(form, "[redacted]")
    return text


class _Program:
    """Handles requests concurrently."""

    def __init__(self, kind, answers):
        self.kind, self.answers, self.lock = kind, answers, threading.Lock()
        self.connector, self.secrets = None, []

    def say(self, id, reply):
        line = json.dumps({"jsonrpc": "2.0", "id": id, **reply}) + "\n"
        with self.lock:
            self.answers.write(line)
            self.answers.flush()

    def answer(self, id, method, params):
        call.changed = False
        passwords = [place.get(name) for place in (params, params.get("account") or {}, params.get("changes") or {}) for name in PASSWORD]
        secrets = self.secrets + [one for one in passwords if isinstance(one, str) and len(one) > 3]
        try:
            self.say(id, {"result": self.result(method, params)})
        except Failure as failure:
            parts = {"code": failure.code, **failure.parts}
            # An earlier step took effect, so the effect is not "not_applied".
            if call.changed and method in self.actions():
                parts["effect"] = "unknown"
                parts.setdefault("retry", "never")
            self.say(id, {"error": {"code": -32000, "message": _redact(failure.message, secrets), "data": parts}})
        except LookupError if method not in self.known() else ():
            self.say(id, {"error": {"code": -32601, "message": f"there is no method {method}"}})
        except Exception as error:  # a bug in the connector; the daemon logs the traceback
            print(_redact(traceback.format_exc(), secrets), file=sys.stderr, flush=True)
            data = {"code": "INTERNAL_ERROR", "effect": "unknown"}
            self.say(id, {"error": {"code": -32000, "message": f"the connector failed: {type(error).__name__}", "data": data}})

    def actions(self):
        all_six = ("create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account", "reset_password")
        return [action for action in all_six if hasattr(self.kind, action)]

    def known(self):
        return ("initialize", "check", "list", "find_account", "shutdown", *self.actions())

    def result(self, method, params):
        if method not in self.known():
            raise LookupError(method)
        if method == "initialize":
            self.secrets = _secrets_of(params.get("settings", {}))
            self.connector = self.kind(params["app"], params.get("settings", {}))
            types = [{"slug": slug, "name": slug.replace("_", " ").title(), "type": kind} for slug, kind in self.kind.types.items()]
            described = {"name": self.kind.name, "version": self.kind.version, "actions": self.actions(), "resource_types": types}
            return {**described, **({"unverifiable": list(self.kind.unverifiable)} if self.kind.unverifiable else {})}
        if method == "shutdown":
            return {}
        if method == "check":
            self.connector.check()
            return {}
        if method == "find_account":
            return self.connector.find(params["account"])
        if method == "list":
            cursor = params["cursor"]
            if cursor is not None and not cursor.startswith(CURSOR):
                raise refused(f"{self.connector.app} was asked to continue from an invalid cursor")
            records, following = self.connector.list(params["resource_type"], cursor[len(CURSOR):] if cursor else None)
            return {"records": records, "next": None if following is None else f"{CURSOR}{following}"}
        return self.connector._execute(method, params)


def serve(kind, threads=8):
    """Handles bridgehead's requests until it closes standard input."""
    # Standard output is only for responses; printed text goes to the daemon's log.
    answers, sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8"), sys.stderr
    program = _Program(kind, answers)
    pool, running = concurrent.futures.ThreadPoolExecutor(threads), set()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        arguments = (request["id"], request["method"], request.get("params") or {})
        if request["method"] in ("initialize", "shutdown"):
            program.answer(*arguments)
        else:
            running = {one for one in running if not one.done()} | {pool.submit(program.answer, *arguments)}
    # bridgehead has exited. Running calls may finish; the next start reads back the effect of the others.
    concurrent.futures.wait(running, timeout=3)
    os._exit(0)
