"""An HR system kept in a JSON file, as a bridgehead connector; docs/connectors/exec.md explains the protocol."""
import hashlib, json, pathlib, sys, traceback, uuid

FIELDS = ("email", "username", "first_name", "last_name", "display_name", "status")
STATUSES = ("active", "inactive", "suspended")
PASSWORD = ("new_password", "password")
ELSEWHERE = ("id", "account_id", "memberships", "assignments", *PASSWORD)  # read where they are needed
TYPES = {"team": "group", "seat": "license", "account": "account"}
STATES = {"suspend_account": {"status": "suspended"}, "unsuspend_account": {"status": "active"}}
ACTIONS = ["create_account", "update_account", "delete_account", *STATES, "reset_password"]
hr = {}  # "app" and "path", set by initialize

class Failure(Exception):
    def __init__(self, code, message, **more):  # more: effect, retry, retry_after, subject
        self.error = {"code": -32000, "message": message, "data": {"code": code, **more}}

def initialize(params):
    hr.update(app=params["app"], path=pathlib.Path(params["settings"]["path"]))
    types = [{"slug": slug, "name": slug.title(), "type": kind} for slug, kind in TYPES.items()]
    return {"name": "hr", "version": "1.0", "actions": ACTIONS, "resource_types": types}

def load():  # a missing file is an error, never an empty list: that would remove all accounts
    return json.loads(hr["path"].read_bytes())

def list_records(params, size=100):  # by key: a record that stays is not skipped when others are added or removed
    _, after = (params["cursor"] or "after ").split("after ", 1)  # a cursor that was never returned here is an error
    records = sorted(load()[params["resource_type"]].values(), key=lambda record: record["id"])
    rest = [record for record in records if record["id"] > after]
    return {"records": rest[:size], "next": f"after {rest[size - 1]['id']}" if len(rest) > size else None}

def find(data, account):  # by id, else by username, else by email, the latter two ignoring case
    key = next(key for key in ("id", "username", "email") if account.get(key))
    fold = str if key == "id" else str.lower
    return next((a for a in data["account"].values() if a.get(key) and fold(a[key]) == fold(account[key])), None)

def refuse(message, **more):  # an error that certainly changed nothing
    return Failure("INTERNAL_ERROR", message, effect="not_applied", **more)

def assign(data, record, slug, refs):  # replaces the whole list of this type; those of other types stay
    if TYPES.get(slug) not in ("group", "license"):
        raise refuse(f"{hr['app']} has no groups or licenses of the type {slug}", subject="group")
    kind = "assignments" if TYPES[slug] == "license" else "memberships"
    ids = [ref["id"] if isinstance(ref, dict) else ref for ref in refs]
    for one in ids:
        if one not in data[slug]:  # not ACCOUNT_NOT_FOUND: the account exists
            raise refuse(f"No {slug} {one} in {hr['app']}", subject=TYPES[slug])
        held = sum(one in a.get(kind, {}).get(slug, []) for a in data["account"].values() if a["id"] != record["id"])
        if held >= data[slug][one].get("total", held + 1):
            raise Failure("LICENSE_EXHAUSTED", f"{hr['app']} has no {slug} {one} left; buy more, or free one up")
    record[kind] = {**record.get(kind, {}), slug: ids}

def fill(data, record, fields):  # Iden would assume that a silently skipped field is set
    for name, value in fields.items():
        if name in ELSEWHERE:
            continue
        if name not in FIELDS or not isinstance(value, (str, type(None))) or name == "status" and value not in STATUSES:
            raise refuse(f"{hr['app']} cannot keep this value of the field '{name}'")
        record[name] = value
    names = [(key, record[key].lower()) for key in ("username", "email") if record.get(key)]
    if not names:
        raise refuse(f"An account of {hr['app']} needs a user name or an email address")
    for key, name in names:
        if any(a["id"] != record["id"] and (a.get(key) or "").lower() == name for a in data["account"].values()):
            raise Failure("ACCOUNT_ALREADY_EXISTS", f"User {name} exists in {hr['app']} already")

def password(task):  # it may be in the changes, in the account, or next to them
    places = (task["changes"] or {}, task["account"], task)
    found = next((place[name] for place in places for name in PASSWORD if place.get(name) is not None), None)
    if found is not None and (not isinstance(found, str) or not found):
        raise refuse(f"A password of {hr['app']} is non-empty text")
    return found

def execute(action, task):  # bridgehead determines whether an earlier attempt succeeded, so `attempt` is not used
    data, account, changes = load(), task["account"], task["changes"] or {}
    unknown = [name for name in account if name not in (*FIELDS, *ELSEWHERE)] if action == "create_account" else []
    if action == "create_account":
        record, wanted = {"id": str(uuid.uuid4())}, {**account, **changes}
        wanted = {name: value for name, value in wanted.items() if value is not None and name not in unknown}
        fill(data, record, {"status": "active", **wanted})
    else:
        found, label = find(data, account), account.get("id") or account.get("username") or account.get("email")
        if not found:
            raise Failure("ACCOUNT_NOT_FOUND", f"User {label} not found in {hr['app']}")
        record = dict(found)
        fill(data, record, STATES.get(action) or (changes if action == "update_account" else {}))
    if action in ("create_account", "update_account"):
        for slug, refs in (task["memberships"] or {}).items():
            assign(data, record, slug, refs)
    if action in ("create_account", "update_account", "reset_password"):
        if new := password(task):
            digest = hashlib.scrypt(new.encode(), salt=record["id"].encode(), n=2**14, r=8, p=1)
            data.setdefault("password", {})[record["id"]] = digest.hex()  # kept apart from the record, which goes to Iden
        elif action == "reset_password":
            raise refuse(f"{hr['app']} makes up no password; the task must bring one")
    data["account"][record["id"]] = record
    for table in ("account", "password") if action == "delete_account" else ():
        data.get(table, {}).pop(record["id"], None)
    hr["path"].with_suffix(".new").write_text(json.dumps(data, indent=2))
    hr["path"].with_suffix(".new").replace(hr["path"])  # replaced completely or not at all
    return {"account_id": record["id"], **({"fields_not_kept": unknown} if unknown else {})}  # reported instead of dropped silently

def answer(method, params, **_):
    try:
        return {"result": execute(method, params) if method in ACTIONS else METHODS[method](params)}
    except Failure as failure:
        return {"error": failure.error}
    except OSError as error:  # an error of the file: nothing was changed, and every task would fail
        code, why = "TIMEOUT" if isinstance(error, FileNotFoundError) else "PERMISSION_DENIED", error.strerror
        return {"error": Failure(code, f"{hr['app']} cannot use {hr['path']}: {why}",
                                 effect="not_applied", retry="backoff", subject="connection").error}
    except Exception as error:  # a bug in this file: the effect is unknown; the traceback goes to the daemon's log
        traceback.print_exc()
        return {"error": Failure("INTERNAL_ERROR", f"hr.py failed: {type(error).__name__}", effect="unknown").error}

METHODS = {"initialize": initialize, "check": lambda params: load() and {}, "list": list_records,
           "find_account": lambda params: find(load(), params["account"]), "shutdown": lambda params: {}}
for request in map(json.loads, sys.stdin.buffer):  # ends when bridgehead closes it, after shutdown or because it died
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer(**request)}), flush=True)
