"""Connects @@name@@ to Iden: a connector for bridgehead, as a process that speaks JSON-RPC on standard input and output.

As it was generated, the system is a JSON file. Replace `read` and `change` by the calls of your system's API, and the rest as far
as it differs. bridgehead's docs/connectors/exec.md explains the protocol.
"""

import json
import os
import pathlib
import sys
import traceback

# Declare what is written below, and nothing more.
ACTIONS = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account"]
RESOURCE_TYPES = [
    {"slug": "team", "name": "Team", "type": "group"},
    {"slug": "account", "name": "Account", "type": "account"},
]
FIELDS = ("username", "email", "first_name", "last_name", "display_name")
STATUSES = ("active", "inactive", "suspended")
PASSWORD = ("password", "new_password")
ELSEWHERE = ("id", "account_id", "memberships", "assignments", *PASSWORD)  # looked at where they are needed
PAGE = 200
AFTER = "after:"

# What `initialize` was told.
system = ""
path = pathlib.Path()


class Failure(Exception):
    """An error with its four parts: code, effect, retry, subject. What is not said follows from the code."""

    def __init__(self, code, message, **parts):
        self.error = {"code": -32000, "message": message, "data": {"code": code, **parts}}


# --- the system ----------------------------------------------------------------------------------------------------


def read():
    """All that the system holds. What cannot be read is a failure, never "nobody there": that would remove everybody."""
    try:
        text = path.read_text(encoding="utf-8")
    except PermissionError:
        raise Failure("PERMISSION_DENIED", f"{path} may not be read", retry="backoff", subject="connection")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise Failure("TIMEOUT", message, effect="not_applied", retry="backoff", subject="connection")
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"{path} is damaged or cut short: {error}"
        raise Failure("INTERNAL_ERROR", message, effect="not_applied")


def write(state):
    """Replaces the file as a whole or, if that fails, not at all."""
    beside = path.with_suffix(".new")
    try:
        beside.write_text(json.dumps(state, indent=2), encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise Failure("INTERNAL_ERROR", message, effect="not_applied", retry="backoff", subject="connection")


# --- what bridgehead asks for ----------------------------------------------------------------------------------------


def initialize(params):
    global system, path
    system, path = params["app"], pathlib.Path(params["settings"]["path"])
    return {"name": "@@name@@", "version": "0.1.0", "actions": ACTIONS, "resource_types": RESOURCE_TYPES}


def check(params):
    read()
    return {}


def list_records(params):
    """One page. Going on by key neither skips nor repeats anybody while others come and go."""
    records, cursor = read()[params["resource_type"]], params["cursor"]
    if cursor is not None and not cursor.startswith(AFTER):
        raise Failure("INTERNAL_ERROR", f"{system} was asked to go on from nowhere", effect="not_applied")
    after = cursor.removeprefix(AFTER) if cursor else ""
    rest = [id for id in sorted(records) if id > after]
    page = [{"id": id, **records[id]} for id in rest[:PAGE]]
    return {"records": page, "next": AFTER + rest[PAGE - 1] if len(rest) > PAGE else None}


def find_account(params):
    id = find(read(), params["account"])
    return {"id": id, **read()["account"][id]} if id else None


# Each may come again, and whether an earlier attempt did it already is bridgehead's affair: nothing here asks for `attempt`.


def create_account(state, task):
    record, account = {"status": "active"}, task["account"]
    unknown = [field for field in account if field not in (*FIELDS, *ELSEWHERE, "status")]
    fill(record, {field: value for field, value in account.items() if field not in unknown})
    fill(record, task["changes"] or {})
    refuse_password(task)
    check_names(state, record, None)
    join(state, record, task["memberships"])
    state["next"] += 1
    id = f"a{state['next']}"  # never given twice, and it survives a rename
    state["account"][id] = record
    return {"account_id": id, **({"fields_not_kept": unknown} if unknown else {})}  # said, not dropped


def update_account(state, task):
    id = must_find(state, task["account"])
    record = dict(state["account"][id])
    fill(record, task["changes"] or {})
    refuse_password(task)
    check_names(state, record, id)
    join(state, record, task["memberships"])
    state["account"][id] = record
    return {}


def delete_account(state, task):
    del state["account"][must_find(state, task["account"])]
    return {}


def suspend_account(state, task):
    state["account"][must_find(state, task["account"])]["status"] = "suspended"
    return {}


def unsuspend_account(state, task):
    state["account"][must_find(state, task["account"])]["status"] = "active"
    return {}


# --- what they share -----------------------------------------------------------------------------------------------


def find(state, account):
    """The id of an account, looked for by its id, else by its user name, else by its e-mail address."""
    if account.get("id"):
        return account["id"] if account["id"] in state["account"] else None
    field = "username" if account.get("username") else "email"
    wanted = str(account.get(field, "")).lower()
    found = (id for id, record in state["account"].items() if str(record.get(field, "")).lower() == wanted)
    return next(found, None) if wanted else None


def must_find(state, account):
    id = find(state, account)
    if id is None:
        label = account.get("id") or account.get("username") or account.get("email")
        raise Failure("ACCOUNT_NOT_FOUND", f"User {label} not found in {system}")
    return id


def fill(record, fields):
    """Puts fields into a record. What is passed over in silence, Iden would believe to be set."""
    for field, value in fields.items():
        if field in ELSEWHERE:
            continue
        fits = field in FIELDS and (value is None or isinstance(value, str))
        if field == "status":
            fits = value is None or value in STATUSES
        if not fits:
            message = f"{system} cannot keep this value of the field '{field}'"
            raise Failure("INTERNAL_ERROR", message, effect="not_applied")
        if value is not None:
            record[field] = value
        elif field != "status":
            record.pop(field, None)


def refuse_password(task):
    """This system keeps no passwords. One may stand in the changes, in the account, or beside them."""
    places = (task["changes"] or {}, task["account"], task)
    if any(place.get(name) is not None for place in places for name in PASSWORD):
        message = f"{system} keeps no passwords; leave them out of what Iden sends"
        raise Failure("INTERNAL_ERROR", message, effect="not_applied")


def check_names(state, record, own):
    """Fails if somebody else has the user name or the e-mail address, or the account has neither."""
    names = {field: record[field] for field in ("username", "email") if record.get(field)}
    if not names:
        message = f"An account of {system} needs a user name or an e-mail address"
        raise Failure("INTERNAL_ERROR", message, effect="not_applied")
    for field, name in names.items():
        if find(state, {field: name}) not in (None, own):
            raise Failure("ACCOUNT_ALREADY_EXISTS", f"User {name} exists in {system} already")


def join(state, record, wanted):
    """Puts an account into the teams that are wanted: of each type that is named, the whole list."""
    for slug, refs in (wanted or {}).items():
        ids = [ref["id"] if isinstance(ref, dict) else ref for ref in refs]
        missing = [id for id in ids if slug != "team" or id not in state["team"]]
        if missing:  # not ACCOUNT_NOT_FOUND: the account may be there
            message = f"No {slug} {missing[0]} in {system}"
            raise Failure("INTERNAL_ERROR", message, effect="not_applied", subject="group")
        record["memberships"] = {**record.get("memberships", {}), slug: ids}


# --- the protocol --------------------------------------------------------------------------------------------------

READING = {
    "initialize": initialize,
    "check": check,
    "list": list_records,
    "find_account": find_account,
    "shutdown": lambda params: {},
}
CHANGING = {name: globals()[name] for name in ACTIONS}


def answer(method, params):
    try:
        if method in READING:
            return {"result": READING[method](params)}
        if method not in CHANGING:
            return {"error": {"code": -32601, "message": f"there is no method {method}"}}
        state = read()
        result = CHANGING[method](state, params)
        write(state)
        return {"result": result}
    except Failure as failure:
        return {"error": failure.error}
    except Exception as error:  # a fault in here; the traceback goes to the daemon's log
        traceback.print_exc()
        return {"error": Failure("INTERNAL_ERROR", f"the connector failed: {type(error).__name__}").error}


# Only answers may go to standard output; what libraries print goes to the log.
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin.buffer:  # it ends when bridgehead stops, or dies
    request = json.loads(line)
    reply = {"jsonrpc": "2.0", "id": request["id"], **answer(request["method"], request["params"])}
    print(json.dumps(reply), file=answers, flush=True)
