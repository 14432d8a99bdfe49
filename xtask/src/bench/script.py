"""The script that people write first: lists the pending tasks, then creates each account and reports it, one after another.

Accounts are created in a dictionary, so the time is that of the calls to the Bridge. Prints tasks per second.
"""

import json
import os
import sys
import time

import requests

base, app = sys.argv[1:]
session = requests.Session()
session.headers["Authorization"] = os.environ["AUTHORIZATION"]
accounts = {}
began = time.perf_counter()
page = f"{base}/api/v1/bridge/apps/{app}/tasks/?status=pending&limit=100"
tasks = []
while page:
    response = session.get(page, timeout=30)
    response.raise_for_status()
    body = response.json()
    tasks += body["results"]
    page = body["next"]
for task in tasks:
    account = task["payload"]["account"]
    accounts[account["username"]] = account
    response = session.patch(
        f"{base}/api/v1/bridge/apps/{app}/tasks/{task['id']}/status/",
        json={"status": "completed", "result": {"account_id": account["username"]}},
        timeout=30,
    )
    response.raise_for_status()
print(json.dumps(len(accounts) / (time.perf_counter() - began)))
