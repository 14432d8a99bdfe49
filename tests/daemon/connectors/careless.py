"""A connector written in a hurry: each of its mistakes has occurred in production.

In the folder `settings.folder`, people.json contains the accounts; the file `failing` makes the target fail on the third page of a
listing, `down` makes it unreachable. `settings.mistake` selects the mistake.
"""
import json, os, sys

PAGE = 10
ACTIONS = ["create_account", "delete_account", "suspend_account", "unsuspend_account", "update_account", "reset_password"]
TYPES = [{"slug": "account", "name": "Account", "type": "account"}]
folder, mistake = ".", ""


def there(name):
    return os.path.exists(os.path.join(folder, name))


def people():
    with open(os.path.join(folder, "people.json")) as file:
        return json.load(file)


def keep(all):
    with open(os.path.join(folder, "people.json.new"), "w") as file:
        json.dump(all, file)
    os.rename(os.path.join(folder, "people.json.new"), os.path.join(folder, "people.json"))


def find(account):
    if account.get("id"):
        one = next((one for one in people() if one["id"] == account["id"]), None)
        if one or mistake != "name for id":
            return one
        # The id does not exist, so the name is used: another account may have it by now.
    name = account.get("username", "").lower()
    if mistake == "substring":
        # The API searches by substring, and the first result is used.
        return next((one for one in people() if name in one["username"].lower()), None)
    return next((one for one in people() if one["username"].lower() == name), None)


def answer(method, params):
    global folder, mistake
    if method == "initialize":
        folder, mistake = params["settings"]["folder"], params["settings"].get("mistake", "")
        if there("down") and mistake == "empty description":
            return {"name": "careless", "version": "1", "actions": [], "resource_types": []}
        return {"name": "careless", "version": "1", "actions": ACTIONS, "resource_types": TYPES}
    if there("down"):
        raise ConnectionError("the target is down")
    if method == "list":
        begin = int(params["cursor"] or "0")
        if begin == 2 * PAGE and there("failing"):
            # The target has answered 503, which is treated as the end.
            return {"records": [], "next": None}
        page = people()[begin : begin + PAGE]
        return {"records": page, "next": str(begin + PAGE) if len(page) == PAGE else None}
    if method == "find_account":
        return find(params["account"])
    if method in ACTIONS[1:]:
        one = find(params["account"])
        if one is None:
            return None
        rest = [other for other in people() if other["id"] != one["id"]]
        if method == "delete_account":
            keep(rest)
        elif method == "update_account":
            keep(rest + [{**one, **params["changes"]}])
        elif method == "reset_password":
            keep(rest + [{**one, "password": "new"}])
        else:
            keep(rest + [{**one, "status": "suspended" if method == "suspend_account" else "active"}])
        return {}
    return {}


for line in sys.stdin:
    request = json.loads(line)
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        result = answer(request["method"], request["params"])
        if result is None and request["method"] != "find_account":
            reply["error"] = {"code": -32000, "message": "no such account", "data": {"code": "ACCOUNT_NOT_FOUND"}}
        else:
            reply["result"] = result
    except ConnectionError as error:
        data = {"code": "TIMEOUT", "effect": "not_applied", "retry": "backoff", "subject": "connection"}
        reply["error"] = {"code": -32000, "message": str(error), "data": data}
    print(json.dumps(reply), flush=True)
    if request["method"] == "shutdown":
        break
