"""A target system for the tests of the daemon: it stores its accounts and all calls on disk.

In the folder `settings.folder`:
- accounts.jsonl  the initial accounts, one per line; the test writes it.
- ledger.jsonl    the calls and the changes, in order: start, rule, applied, end. The entry of a change contains the
                  resulting records in one line, so a process that is killed has made the change completely or not at all.
- rules.json      the faults; read again at every call. See `Rule` below.

With `settings.within`, a change is not made later than this many seconds after its call began: however slow the machine is, no call has
an effect after that.

Each line is on the disk before anything that follows it, so a killed process has recorded everything it did. Several processes may serve the
same folder, as those of two nodes do: each sees what the others changed.
"""
import contextlib, fcntl, json, os, pathlib, sys, threading, time

ACTIONS = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account", "reset_password"]
TYPES = {"team": "group", "seat": "license", "account": "account"}
NAMES = ("id", "username", "email")
SECRET = ("password", "new_password", "pin")
lock = threading.RLock()
settings, folder, accounts, fired = {}, None, {}, {}
known_until = 0


class Failure(Exception):
    def __init__(self, code, message, **more):
        self.error = {"code": -32000, "message": message, "data": {"code": code, **more}}


def append(name, line):
    with lock, open(folder / name, "ab") as file:
        file.write(json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def note(event, method, params, **more):
    line = {"event": event, "method": method, "task": params.get("task_id"), "attempt": params.get("attempt"), "may_have_applied": params.get("may_have_applied")}
    append("ledger.jsonl", {**line, "account": label(params), "pid": os.getpid(), "at": time.time_ns(), **more})


def read(name):
    try:
        return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def current():
    """No other process changes the folder meanwhile, and `accounts` is up to date."""
    with lock, open(folder / "lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for line in tail():
            for record in line.get("records", []):
                learn(record)
        yield


def tail():
    """The lines of the ledger that were not read yet."""
    global known_until
    if not (folder / "ledger.jsonl").exists():
        return []
    with open(folder / "ledger.jsonl", "rb") as file:
        file.seek(known_until)
        whole = file.read().rpartition(b"\n")[0]
    known_until += len(whole) + bool(whole)
    return [json.loads(line) for line in whole.splitlines()]


def send(answer):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **answer}) + "\n")
        sys.stdout.flush()


def label(params):
    account = params.get("account") or {}
    return next((account[name] for name in NAMES if account.get(name)), None)


def fold(value):
    return str(value).lower()


def find(account):
    """By id, else by username, else by email, the latter two ignoring case."""
    for name in NAMES:
        if account.get(name):
            same = str if name == "id" else fold
            return next((a for a in accounts.values() if a.get(name) and same(a[name]) == same(account[name])), None)


class Rule:
    """Selects calls and describes their handling, in this order:

    method, account, attempt: the calls; absent: any. times: how often; absent: always. skip: the number of calls that pass first.
    stderr: written to standard error. until: waits before the change until a file of this name exists. delay: waits before the
    change, in seconds. apply: whether the change is made; by default unless the call ends without a regular result.
    hang, hang_until: like delay and until, but after the change. exit: ends the process. garbage: written instead of a response.
    error: {message, data}. answer: the result. `{password}` and `{token}` are replaced by secrets in strings.
    """

    @staticmethod
    def of(method, params):
        with lock:
            known = {fold(value) for value in (params.get("account") or {}).values() if isinstance(value, (str, int))}
            known |= {fold(value) for value in (find(params.get("account") or {}) or {}).values() if isinstance(value, str)}
            for rule in json.loads((folder / "rules.json").read_bytes()) if (folder / "rules.json").exists() else []:
                name = json.dumps(rule, sort_keys=True)
                if rule.get("method", method) != method or rule.get("attempt", params.get("attempt")) != params.get("attempt"):
                    continue
                if "account" in rule and fold(rule["account"]) not in known:
                    continue
                count = fired.setdefault(name, 0)
                if count >= rule.get("times", count + 1) + rule.get("skip", 0):
                    continue
                fired[name] += 1
                note("rule", method, params, rule=name)
                if count >= rule.get("skip", 0):
                    return rule
        return {}


def wait(seconds, name):
    time.sleep(seconds)
    while name and not (folder / name).exists():
        time.sleep(0.01)


def filled(value, params):
    """Inserts secrets, like a connector that leaks them."""
    if isinstance(value, dict):
        return {filled(name, params): filled(item, params) for name, item in value.items()}
    if isinstance(value, str):
        places = [params.get("account") or {}, params.get("changes") or {}, params]
        password = next((place[name] for place in places for name in SECRET if place.get(name)), "")
        return value.replace("{password}", str(password)).replace("{token}", str(settings.get("token", "")))
    return value


def apply(action, params, began):
    account, changes = params["account"], params.get("changes") or {}
    with current():
        if time.monotonic() - began > settings.get("within", float("inf")):
            raise Failure("TIMEOUT", f"{settings['app']} gave up on {label(params)}")
        record, app = find(account), settings["app"]
        if action == "create_account":
            taken = [find({name: account[name]}) for name in NAMES if account.get(name)]
            if any(taken):
                raise Failure("ACCOUNT_ALREADY_EXISTS", f"User {label(params)} exists in {app} already")
            made = f"e-{len(accounts) + 1}" if settings.get("own_ids") else label(params)
            changes = {name: value for name, value in account.items() if name not in SECRET}
            record = {"status": "active", **changes, "id": made}
        elif record is None:
            raise Failure("ACCOUNT_NOT_FOUND", f"User {label(params)} not found in {app}")
        old = record["id"]
        record = dict(record)
        if action == "suspend_account":
            record["status"] = "suspended"
        elif action == "unsuspend_account":
            record["status"] = "active"
        elif action == "update_account":
            record.update((name, value) for name, value in changes.items() if name not in SECRET)
        for slug, refs in (params.get("memberships") or {}).items():
            place = "assignments" if TYPES[slug] == "license" else "memberships"
            record[place] = {**record.get(place, {}), slug: refs}
        gone = [{"id": old, "deleted": True}] if action == "delete_account" or record["id"] != old else []
        kept = [] if action == "delete_account" else [record]
        note("applied", action, params, records=gone + kept)
        for changed in gone + kept:
            learn(changed)
        return {"account_id": record["id"]} if action == "create_account" else {}


def learn(record):
    if record.get("deleted"):
        accounts.pop(record["id"], None)
    else:
        accounts[record["id"]] = record


def initialize(params):
    global folder
    settings.update(params["settings"], app=params["app"])
    folder = pathlib.Path(settings["folder"])
    folder.mkdir(exist_ok=True)
    for record in read("accounts.jsonl"):
        learn(record)
    for line in tail():
        for record in line.get("records", []):
            learn(record)
        if line["event"] == "rule":
            fired[line["rule"]] = fired.get(line["rule"], 0) + 1
    types = [{"slug": slug, "name": slug.title(), "type": kind} for slug, kind in TYPES.items()]
    actions = settings.get("actions", ACTIONS)
    unverifiable = settings.get("unverifiable", [])
    return {"name": "target", "version": "1", "actions": actions, "resource_types": types, "unverifiable": unverifiable}


def records(params):
    if params["resource_type"] != "account":
        return {"records": [], "next": None}
    with current():
        known = sorted(accounts.values(), key=lambda record: record["id"])
    rest = [record for record in known if record["id"] > (params["cursor"] or "")]
    return {"records": rest[:100], "next": rest[99]["id"] if len(rest) > 100 else None}


def perform(method, params, began):
    if method in ACTIONS:
        return apply(method, params, began)
    if method == "find_account":
        with current():
            return find(params["account"])
    return records(params) if method == "list" else {}


def serve(id, method, params, **_):
    began = time.monotonic()
    note("start", method, params)
    rule = Rule.of(method, params)
    try:
        if "stderr" in rule:
            print(filled(rule["stderr"], params), file=sys.stderr, flush=True)
        wait(rule.get("delay", 0), rule.get("until"))
        result = None
        if rule.get("apply", not any(name in rule for name in ("exit", "garbage", "error", "answer"))):
            result = perform(method, params, began)
        wait(rule.get("hang", 0), rule.get("hang_until"))
        if "exit" in rule:
            with lock:
                os._exit(rule["exit"])
        if "garbage" in rule:
            sys.stdout.write(filled(rule["garbage"], params))
            sys.stdout.flush()
            return
        if "error" in rule:
            raise Failure(message=filled(rule["error"]["message"], params), **rule["error"]["data"])
        answer = {"result": filled(rule["answer"], params) if "answer" in rule else result}
    except Failure as failure:
        answer = {"error": failure.error}
    note("end", method, params)
    send({"id": id, **answer})


def main():
    for line in sys.stdin.buffer:
        request = json.loads(line)
        id, method, params = request["id"], request["method"], request["params"]
        if method == "initialize":
            result = initialize(params)
            rule = Rule.of(method, params)
            if "error" in rule:
                send({"id": id, "error": {"code": -32000, **rule["error"]}})
            else:
                send({"id": id, "result": result})
        elif method == "shutdown":
            send({"id": id, "result": {}})
            os._exit(0)
        else:
            threading.Thread(target=serve, kwargs=request, daemon=True).start()
    with lock:  # a change is made completely or not at all
        os._exit(0)  # bridgehead has ended: hanging calls end with it


main()
