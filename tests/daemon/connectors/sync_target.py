"""A target for tests of syncs: a JSON file describes its records and faults, and it stops where the test wants.

The file (setting `path`) is read again whenever it changes:
  {"types": [{"slug", "name", "type"}…],              default: team, account
   "records": {slug: {"count": n, "prefix": "u", "each": {…}} or [record…]},
   "raw": {slug: [anything…]},                        added to the last page unchanged
   "totals": {slug: n},                               the total of the type that every page reports
   "page_size": 100, "order": "id" or "status",       by status: a record that changes may be listed twice
   "appears": {slug: [record…]},                      from the second listing of a type on
   "faults": [{"type": slug, "page": n, "do": …, "times": n}…],
   "gate": true}
`do` is one of: error (with "data" and "message"), repeat (the cursor), die, hang, delay (with "seconds"), short (no `next`),
find (every find_account fails; "page" and "type" do not matter).
With `gate`, every listing waits before each page, and after its last, until the file gate/POINT.go or gate/open.go
exists; POINT is SLUG-PAGE or SLUG-end, and gate/POINT.here shows that it waits. Tasks for accounts named slow… wait at
task-NAME in the same way. Creating an account named full… always fails.
Changes by tasks are stored in state.json next to the file, so that they outlive the process.
"""
import json, os, pathlib, sys, threading, time

out, lock = threading.Lock(), threading.RLock()
home = pathlib.Path(".")
read = {"stamp": None, "said": {}, "records": {}}
listings = {}
TYPES = [{"slug": "team", "name": "Team", "type": "group"}, {"slug": "account", "name": "Account", "type": "account"}]
ACTIONS = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account"]


class Failure(Exception):
    def __init__(self, message, **data):
        self.error = {"code": -32000, "message": message, "data": data}


def said():
    path = home / "target.json"
    info = path.stat()
    stamp = (info.st_mtime_ns, info.st_size, info.st_ino)
    if stamp != read["stamp"]:
        data = json.loads(path.read_text())
        kinds = {one["slug"]: one["type"] for one in data.get("types", TYPES)}
        read.update(stamp=stamp, said=data, records={
            slug: {record["id"]: record for record in spelled_out(records, kinds.get(slug))}
            for slug, records in data.get("records", {}).items()})
    return read["said"]


def spelled_out(records, kind):
    if isinstance(records, list):
        yield from records
        return
    prefix = records.get("prefix", "u")
    for n in range(records["count"]):
        name = f"{prefix}{n:06}"
        own = {"username": name, "email": f"{name}@example.org"} if kind == "account" else {"name": name.upper()}
        yield {"id": name, **own, **records.get("each", {})}


def changed(update=None):
    path = home / "state.json"
    state = json.loads(path.read_text()) if path.exists() else {}
    if update:
        state.update(update)
        path.with_suffix(".new").write_text(json.dumps(state))
        path.with_suffix(".new").replace(path)
    return state


def records_of(slug):
    data = said()
    records = {key: value for key, value in read["records"].get(slug, {}).items()}
    if listings.get(slug, 0) > 1:
        records.update({record["id"]: record for record in data.get("appears", {}).get(slug, [])})
    if slug == "account":
        records.update(changed())
    return {key: record for key, record in records.items() if record is not None}


def wait_at(point):
    if not said().get("gate"):
        return
    gate = home / "gate"
    gate.mkdir(exist_ok=True)
    (gate / f"{point}.here").touch()
    while not (gate / f"{point}.go").exists() and not (gate / "open.go").exists():
        time.sleep(0.005)


def fired(number, times):
    path = home / "fired.json"
    counts = json.loads(path.read_text()) if path.exists() else {}
    count = counts.get(str(number), 0)
    if times is not None and count >= times:
        return False
    counts[str(number)] = count + 1
    path.write_text(json.dumps(counts))
    return True


def fault(slug, page):
    for number, one in enumerate(said().get("faults", [])):
        if one["do"] != "find" and one.get("type", slug) == slug and one.get("page", page) == page:
            if fired(number, one.get("times")):
                return one
    return {"do": None}


def list_page(params):
    slug, cursor = params["resource_type"], params["cursor"]
    page, after = json.loads(cursor) if cursor else (1, None)
    if cursor is None:
        listings[slug] = listings.get(slug, 0) + 1
    wait_at(f"{slug}-{page}")
    with lock:
        wrong = fault(slug, page)
        size = said().get("page_size", 100)
        if said().get("order") == "status":
            # By offset, with inactive accounts at the end: an account that is suspended meanwhile is listed again.
            records = sorted(records_of(slug).values(), key=lambda one: (one.get("status", "active") != "active", one["id"]))
            rest = records[(page - 1) * size:]
        else:
            records = sorted(records_of(slug).values(), key=lambda one: one["id"])
            rest = [record for record in records if after is None or record["id"] > after]
        result = {"records": rest[:size], "next": json.dumps([page + 1, rest[size - 1]["id"]]) if len(rest) > size else None}
        if slug in said().get("totals", {}):
            result["total"] = said()["totals"][slug]
        if result["next"] is None:
            result["records"] = result["records"] + said().get("raw", {}).get(slug, [])
    if wrong["do"] == "error":
        raise Failure(wrong.get("message", "HR does not answer"), **wrong["data"])
    if wrong["do"] == "repeat":
        result["next"] = cursor or json.dumps([1, ""])
    if wrong["do"] == "short":
        del result["next"]
    if wrong["do"] == "die":
        os._exit(7)
    if wrong["do"] == "hang":
        time.sleep(3600)
    if wrong["do"] == "delay":
        time.sleep(wrong["seconds"])
    if result.get("next", "") is None:
        wait_at(f"{slug}-end")
    return result


def find(account):
    for number, one in enumerate(said().get("faults", [])):
        if one["do"] == "find" and fired(number, one.get("times")):
            raise Failure("HR does not find anybody now", **one["data"])
    key = next(key for key in ("id", "username", "email") if account.get(key))
    fold = str if key == "id" else str.lower
    return next((one for one in records_of("account").values() if one.get(key) and fold(one[key]) == fold(account[key])), None)


def execute(action, task):
    account, changes = task["account"], task["changes"] or {}
    record, label = find(account), account.get("id") or account.get("username") or account.get("email")
    if action == "create_account":
        if str(label).startswith("full"):
            raise Failure(f"HR has no seat left for {label}", code="LICENSE_EXHAUSTED")
        if record:
            raise Failure(f"User {label} exists in HR already", code="ACCOUNT_ALREADY_EXISTS")
        record = {"id": account["username"], **account}
    elif not record:
        raise Failure(f"User {label} not found in HR", code="ACCOUNT_NOT_FOUND")
    record = {**record, **changes}
    if task["memberships"]:
        record["memberships"] = task["memberships"]
    if action == "suspend_account":
        record["status"] = "suspended"
    if action == "unsuspend_account":
        record["status"] = "active"
    changed({record["id"]: None if action == "delete_account" else record})
    return {"account_id": record["id"]}


def answer(request):
    method, params = request["method"], request["params"]
    try:
        if method == "initialize":
            globals()["home"] = pathlib.Path(params["settings"]["path"])
            result = {"name": "sync-target", "version": "1", "actions": ACTIONS, "resource_types": said().get("types", TYPES)}
        elif method == "list":
            result = list_page(params)
        elif method in ("check", "shutdown"):
            result = {}
        else:
            label = str(params["account"].get("id") or params["account"].get("username"))
            if method in ACTIONS and label.startswith("slow"):
                wait_at(f"task-{label}")
            with lock:
                result = find(params["account"]) if method == "find_account" else execute(method, params)
        reply = {"result": result}
    except Failure as failure:
        reply = {"error": failure.error}
    with out:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **reply}), flush=True)
    if method == "shutdown":
        os._exit(0)


for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "initialize":
        answer(request)
    else:
        threading.Thread(target=answer, args=(request,), daemon=True).start()
os._exit(0)
