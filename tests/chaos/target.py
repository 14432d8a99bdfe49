"""A target system and its connector, for tests that inject all kinds of faults.

The target is a ledger: JSON lines, each written and flushed to disk while a lock is held, before the result is visible.
The accounts are derived from the ledger, so that they survive the death of any process. The connector is faulty on
purpose: a repeated create makes a second account, and `faults.json`, which is read at every call, makes the connector
slow, wrong, silent or dead. The randomness of a task's call depends only on the seed, the task and the attempt.
"""
import fcntl, hashlib, json, os, random, sys, threading, time

ACTIONS = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account", "reset_password"]
CODES = ["ACCOUNT_NOT_FOUND", "ACCOUNT_ALREADY_EXISTS", "LICENSE_EXHAUSTED", "PERMISSION_DENIED", "RATE_LIMITED",
         "TIMEOUT", "INTERNAL_ERROR"]
TYPES = {"team": "group", "seat": "license", "account": "account"}
PAGE = 40
# A call in progress when its connector dies is applied up to this many seconds after it was received.
REACH = 1.2

guard = threading.Lock()  # within this process; the lock on the file is between processes
output = threading.Lock()
input_ended = threading.Event()
under_way = set()
moods = set()  # the fault that applies to the current listing
settings = {}


class Failure(Exception):
    def __init__(self, code, message, **more):
        self.error = {"code": -32000, "message": message, "data": {"code": code, **more}}


class Target:
    """The accounts according to the ledger. Every use is one `with`: it takes the lock and reads what other processes wrote."""

    def __init__(self, folder):
        self.file = os.open(os.path.join(folder, "ledger.jsonl"), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self.offset, self.accounts, self.created, self.entities, self.starts = 0, {}, {}, {"team": {}, "seat": {}}, 0

    def __enter__(self):
        guard.acquire()
        fcntl.flock(self.file, fcntl.LOCK_EX)
        while chunk := os.pread(self.file, 1 << 20, self.offset):
            whole = chunk[: chunk.rfind(b"\n") + 1]
            self.offset += len(whole)
            for line in whole.splitlines():
                self.take(json.loads(line))
        return self

    def __exit__(self, *_):
        fcntl.flock(self.file, fcntl.LOCK_UN)
        guard.release()

    def take(self, line):
        if line["kind"] == "entity":
            self.entities[line["slug"]][line["record"]["id"]] = line["record"]
        elif line["kind"] == "started":
            self.starts += 1
        elif line["kind"] == "applied" and line["record"] is None:
            self.accounts.pop(line["id"], None)
        elif line["kind"] == "applied":
            if line["id"] not in self.accounts:
                self.created[line["id"]] = line["at"]
            self.accounts[line["id"]] = line["record"]

    def write(self, kind, **fields):
        text = json.dumps({"kind": kind, "at": time.time_ns(), **fields}).encode() + b"\n"
        os.write(self.file, text)
        os.fsync(self.file)
        self.offset += len(text)
        self.take(json.loads(text))

    def as_of(self, moment):
        """The accounts at that time."""
        accounts = {}
        with open(os.path.join(settings["folder"], "ledger.jsonl"), "rb") as file:
            for line in file:
                line = json.loads(line)
                if line["kind"] == "applied" and line["at"] <= moment:
                    accounts[line["id"]] = line["record"]
        return {key: record for key, record in accounts.items() if record}

    def find(self, account):
        key = next((key for key in ("id", "username", "email") if account.get(key)), None)
        return next((one for one in self.accounts.values() if key and one.get(key) == account[key]), None)


def faults():
    try:
        with open(os.path.join(settings["folder"], "faults.json")) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def label(account):
    return account.get("id") or account.get("username") or account.get("email")


def say(line):
    with output:
        os.write(1, line.encode() + b"\n")


def hang():
    time.sleep(3600)


def wait(seconds, received, lingers):
    """Works for a while. False if the call must end without an effect, because its caller no longer exists."""
    time.sleep(seconds)
    if not input_ended.is_set():
        return True
    return lingers and time.monotonic() - received < REACH


def disturb(dice, rules, what):
    """Faults of a call that only reads."""
    if dice.random() >= rules.get("read", 0):
        return
    kind = dice.choice(["slow", "slow", "slow", "limited", "limited", "timeout", "down", "broken", "die", "garbage", "hang"])
    if kind == "slow":
        time.sleep(dice.uniform(0.05, rules.get("delay", 0.3)))
    elif kind == "limited":
        raise Failure("RATE_LIMITED", f"HR allows less than that: {what}", retry_after=dice.choice([0.1, 0.5]))
    elif kind == "timeout":
        raise Failure("TIMEOUT", f"HR did not answer: {what}")
    elif kind == "down":
        raise Failure("TIMEOUT", f"HR is unreachable: {what}", effect="not_applied", subject="connection", retry="backoff")
    elif kind == "broken":
        raise Failure("INTERNAL_ERROR", f"HR is broken: {what}", effect="not_applied", retry=dice.choice(["never", "backoff"]))
    elif kind == "die":
        os._exit(1)
    elif kind == "garbage":
        say("Segmentation fault")
        hang()
    elif kind == "hang":
        hang()


def list_records(params, dice, rules):
    slug, cursor = params["resource_type"], params["cursor"] or ""
    disturb(dice, rules, f"list {slug}")
    with target:
        records = target.accounts if slug == "account" else target.entities[slug]
        # The target was restored from a copy.
        if slug == "account" and rules.get("as_of"):
            records = target.as_of(rules["as_of"])
        # After a repeated cursor, the listing continues where the page before the last one did.
        rest = [records[key] for key in sorted(records) if key > cursor.rstrip("!")]
    page, next_cursor = rest[:PAGE], rest[PAGE - 1]["id"] if len(rest) > PAGE else None
    kind = dice.choice(rules["list"]) if rules.get("list") and dice.random() < rules.get("listing", 0) else None
    if slug == "account":
        # A target that misrepresents accounts does so for the whole of a listing.
        if not cursor:
            moods.clear()
            moods.update([kind] if kind in ("asleep", "alone") else [])
        kind = next(iter(moods), kind)
    if kind == "repeat" and cursor:
        next_cursor = cursor
    elif kind == "cut":
        return {"records": page[: len(page) // 2]}
    elif kind == "short" and next_cursor:
        page = page[: len(page) // 2]
        raise Failure("TIMEOUT", "HR stopped in the middle of a page")
    elif kind == "shrunk" and slug == "account" and cursor < "p-0120":
        next_cursor = None
    elif kind == "shrunk" and slug == "team":
        page = page[: len(page) // 2]
    elif kind == "asleep" and slug == "account":
        page = [{**record, "status": "inactive"} for record in page]
    elif kind == "alone" and slug == "account":
        page = [{**record, "memberships": {}, "assignments": {}} for record in page]
    elif kind == "empty" and slug != "seat" and not cursor:
        page, next_cursor = [], None
    elif kind == "bad" and page:
        page = [*page, {"id": f"bad-{time.time_ns()}", "email": 7}]
    if kind:
        with target:
            target.write("listing", fault=kind, slug=slug, cursor=cursor)
    return {"records": page, "next": next_cursor}


def find_account(params, dice, rules):
    account = params["account"]
    disturb(dice, rules, f"find {label(account)}")
    with target:
        found = target.find(account)
        created = target.created.get(found["id"], 0) if found else 0
    lag = rules.get("lag", 0) * random.Random(found["id"]).random() if found else 0
    if found and time.time_ns() < created + lag * 1e9:
        return None
    return found


def changed(action, params, record):
    """The account as the task changes it; None if it is deleted."""
    account, changes = params["account"], params["changes"] or {}
    if action == "delete_account":
        return None
    record = {**record, **{name: value for name, value in changes.items() if "password" not in name}}
    if action in ("suspend_account", "unsuspend_account"):
        record["status"] = "suspended" if action == "suspend_account" else "active"
    for slug, refs in (params["memberships"] or {}).items():
        kind = "assignments" if TYPES[slug] == "license" else "memberships"
        record[kind] = {**record.get(kind, {}), slug: [ref["id"] if isinstance(ref, dict) else ref for ref in refs]}
    return record


def password_of(params):
    sources = (params, params["account"], params["changes"] or {})
    return next((source[name] for source in sources for name in ("new_password", "password") if source.get(name)), None)


def fingerprint(password):
    """FNV-1a: the ledger shows which password was set without containing it."""
    value = 0xCBF29CE484222325
    for byte in password.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def apply(call, action, params):
    """Makes one change of the target, durable before the result is visible."""
    account, result, password = params["account"], {}, password_of(params)
    with target:
        found = target.find(account)
        if action == "create_account":
            # Not idempotent, and without a check whether the account exists: two calls create two accounts.
            number = sum(line.startswith("n-") for line in target.created) + 1
            names = ("username", "email", "first_name", "last_name", "display_name")
            found = {"id": f"n-{number:05}", "status": "active", **{name: account[name] for name in names if account.get(name)}}
            result = {"account_id": found["id"]}
        elif not found:
            raise Failure("ACCOUNT_NOT_FOUND", f"User {label(account)} not found in HR")
        if action == "reset_password" and not password:
            password = "temporary-" + hashlib.sha256((settings["token"] + call).encode()).hexdigest()[:20]
            result = {"temporary_password": password}
        target.write("applied", call=call, task=params["task_id"], attempt=params["attempt"], action=action,
                     id=found["id"], record=changed(action, params, found), password=fingerprint(password) if password else None)
    return result


def failure(dice, action, params, effect):
    """A failure with any code. For a deletion, `ACCOUNT_NOT_FOUND` is a valid result, so it must be true."""
    code = dice.choice(CODES if action != "delete_account" else CODES[1:])
    retry = dice.choice(["never", "backoff", "backoff"])
    message = f"HR says {code} of {label(params['account'])}"
    # The connector leaks what it was given.
    if dice.random() < 0.2:
        message += f"; sent {password_of(params) or 'nothing'} with {settings['token']}"
        print(message, file=sys.stderr, flush=True)
    return Failure(code, message, effect=effect, retry=retry)


def is_seen(action, account):
    with target:
        return action != "delete_account" or target.find(account) is not None


def execute(call, action, params, rules):
    dice = random.Random(f"{rules.get('seed')}/{params['task_id']}/{params['attempt']}")
    kinds = rules.get("write_kinds", ["slow"])
    kind = dice.choice(kinds) if dice.random() < rules.get("write", 0) else None
    lingers = dice.random() < rules.get("linger", 0)
    delay = dice.uniform(*rules.get("work", (0, 0)))
    received = time.monotonic()
    with target:
        target.write("received", call=call, task=params["task_id"], attempt=params["attempt"], action=action, fault=kind,
                     account=params["account"].get("username") or label(params["account"]))
    under_way.add(call)
    try:
        if kind == "refused":
            raise failure(dice, action, params, "not_applied")
        if kind == "down":
            raise Failure("TIMEOUT", "HR is unreachable", effect="not_applied", subject="connection", retry="backoff")
        if kind == "unknown":
            raise failure(dice, action, params, "unknown")
        if kind == "die":
            os._exit(1)
        if kind == "hang":
            hang()
        if kind == "idle" and not password_of(params) and action != "reset_password" and is_seen(action, params["account"]):
            # Reports success without doing anything. For a password or a missing account, this could not be detected.
            return {"account_id": "n-none"} if action == "create_account" else {}
        if kind == "late":
            # Past every deadline: the daemon has given up on the call, the target has not.
            delay = rules["timeout"] + 0.3
        elif not wait(delay if kind != "slow" else delay + dice.uniform(0, rules.get("delay", 0.3)), received, lingers):
            raise SystemExit  # ends this thread: the call has ended without an answer
        if kind == "late" and not wait(delay, received, True):
            raise SystemExit
        result = apply(call, action, params)
        if kind == "applied_unknown":
            raise failure(dice, action, params, "unknown")
        if kind == "applied_hang":
            hang()
        if kind == "applied_die":
            os._exit(1)
        if kind == "applied_garbage":
            say('{"jsonrpc": "2.0", "id": ')
            hang()
        if kind == "applied_wrong":
            return ["done"]
        return result
    finally:
        under_way.discard(call)


def answer(request):
    method, params = request["method"], request["params"]
    call, how = f"{os.getpid()}-{request['id']}", "ok"
    try:
        rules = faults()
        if method in ACTIONS:
            outcome = {"result": execute(call, method, params, rules)}
        elif method == "check":
            disturb(random.Random(), rules, "check")
            outcome = {"result": {}}
        else:
            with target:
                dice = random.Random(f"{rules.get('seed')}/{method}/{target.starts}/{request['id']}")
            outcome = {"result": {"list": list_records, "find_account": find_account}[method](params, dice, rules)}
    except Failure as error:
        outcome, how = {"error": error.error}, error.error["data"]["code"]
    if method in ACTIONS:
        with target:
            target.write("answered", call=call, how=how)
    say(json.dumps({"jsonrpc": "2.0", "id": request["id"], **outcome}))


def initialize(params):
    global target
    settings.update(params["settings"])
    target = Target(settings["folder"])
    with target:
        target.write("started", pid=os.getpid(), parent=os.getppid())
    types = [{"slug": slug, "name": slug.title(), "type": kind} for slug, kind in TYPES.items()]
    return {"name": "chaos", "version": "1.0", "actions": ACTIONS, "resource_types": types}


for line in sys.stdin.buffer:
    request = json.loads(line)
    if request["method"] in ("initialize", "shutdown"):
        result = initialize(request["params"]) if request["method"] == "initialize" else {}
        say(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))
    else:
        threading.Thread(target=answer, args=(request,), daemon=True).start()
input_ended.set()
# No process listens any more. Calls in progress at the target may still be applied.
deadline = time.monotonic() + REACH
while under_way and time.monotonic() < deadline:
    time.sleep(0.01)
os._exit(0)
