"""An HR system kept in a JSON file, as a bridgehead connector; docs/connectors/exec.md explains the protocol."""
import hashlib, json, pathlib, sys, traceback, uuid

FIELDS = ("email", "username", "first_name", "last_name", "display_name", "status")
TYPES = {"team": "group", "seat": "license", "account": "account"}
STATES = {"suspend_account": {"status": "suspended"}, "unsuspend_account": {"status": "active"}}
ACTIONS = ["create_account", "update_account", "delete_account", *STATES, "reset_password"]
hr = {}  # "app" and "path", as initialize was told

class Failure(Exception):
    def __init__(self, code, message, **more):  # more: effect, retry, retry_after, subject
        self.error = {"code": -32000, "message": message, "data": {"code": code, **more}}

def initialize(params):
    hr.update(app=params["app"], path=pathlib.Path(params["settings"]["path"]))
    types = [{"slug": slug, "name": slug.title(), "type": kind} for slug, kind in TYPES.items()]
    return {"name": "hr", "version": "1.0", "actions": ACTIONS, "resource_types": types}

def load():  # a missing file is an error, never "nobody there": that would remove everybody
    return json.loads(hr["path"].read_bytes())

def list_records(params, size=100):  # by key: a record that stays is not skipped when others come and go
    _, after = (params["cursor"] or "after ").split("after ", 1)  # one that was never given here is an error
    records = sorted(load()[params["resource_type"]].values(), key=lambda record: record["id"])
    rest = [record for record in records if record["id"] > after]
    return {"records": rest[:size], "next": f"after {rest[size - 1]['id']}" if len(rest) > size else None}

def find(data, account):  # by id, else by user name, else by e-mail, these two in any case
    key = next(key for key in ("id", "username", "email") if account.get(key))
    fold = str if key == "id" else str.lower
    return next((a for a in data["account"].values() if a.get(key) and fold(a[key]) == fold(account[key])), None)

def assign(data, record, slug, ids):
    kind = "assignments" if TYPES[slug] == "license" else "memberships"
    for one in ids:
        if one not in data[slug]:  # not ACCOUNT_NOT_FOUND: the account is there
            raise Failure("INTERNAL_ERROR", f"No {slug} {one} in {hr['app']}", effect="not_applied", subject=TYPES[slug])
        held = sum(one in a.get(kind, {}).get(slug, []) for a in data["account"].values() if a is not record)
        if held >= data[slug][one].get("total", held + 1):
            raise Failure("LICENSE_EXHAUSTED", f"{hr['app']} has no {slug} {one} left; buy more, or free one up")
    record.setdefault(kind, {})[slug] = ids

def execute(action, task):
    data, account, changes = load(), task["account"], task["changes"] or {}
    record, label = find(data, account), account.get("id") or account.get("username") or account.get("email")
    if action == "create_account":
        if any(account.get(key) and find(data, {key: account[key]}) for key in ("username", "email")):
            raise Failure("ACCOUNT_ALREADY_EXISTS", f"User {label} exists in {hr['app']} already")
        record, changes = {"id": str(uuid.uuid4()), "status": "active"}, {**account, **changes}
    elif not record:
        raise Failure("ACCOUNT_NOT_FOUND", f"User {label} not found in {hr['app']}")
    record.update((name, value) for name, value in {**changes, **STATES.get(action, {})}.items() if name in FIELDS)
    for slug, refs in (task["memberships"] or {}).items():
        assign(data, record, slug, [ref["id"] if isinstance(ref, dict) else ref for ref in refs])
    if password := changes.get("new_password") or changes.get("password") or account.get("password"):
        digest = hashlib.scrypt(password.encode(), salt=record["id"].encode(), n=2**14, r=8, p=1)
        data.setdefault("password", {})[record["id"]] = digest.hex()  # apart from the record, which goes to Iden
    data["account"][record["id"]] = record
    for table in ("account", "password") if action == "delete_account" else ():
        data.get(table, {}).pop(record["id"], None)
    hr["path"].with_suffix(".new").write_text(json.dumps(data, indent=2))
    hr["path"].with_suffix(".new").replace(hr["path"])  # whole or not at all
    return {"account_id": record["id"]}

def answer(method, params, **_):
    try:
        return {"result": execute(method, params) if method in ACTIONS else METHODS[method](params)}
    except Failure as failure:
        return {"error": failure.error}
    except OSError as error:  # of the file: nothing was changed, and every task meets the same fate
        code, why = "TIMEOUT" if isinstance(error, FileNotFoundError) else "PERMISSION_DENIED", error.strerror
        return {"error": Failure(code, f"{hr['app']} cannot use {hr['path']}: {why}",
                                 effect="not_applied", retry="backoff", subject="connection").error}
    except Exception as error:  # a fault in here: what was done is not known; the traceback goes to the daemon's log
        traceback.print_exc()
        return {"error": Failure("INTERNAL_ERROR", f"hr.py failed: {type(error).__name__}", effect="unknown").error}

METHODS = {"initialize": initialize, "check": lambda params: load() and {}, "list": list_records,
           "find_account": lambda params: find(load(), params["account"]), "shutdown": lambda params: {}}
for request in map(json.loads, sys.stdin.buffer):  # ends when bridgehead closes it, after shutdown or because it died
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer(**request)}), flush=True)
