"""Connects @@name@@ to Iden. The generated code uses the small API in sample_api.py: replace the paths and field names with those of
your system. bridgehead.py does the rest."""

from bridgehead import Connector, Http, refused, serve

# The API's names for the fields of an account.
FIELDS = {"username": "login", "email": "mail", "first_name": "given_name", "last_name": "surname", "display_name": "title"}


class Target(Connector):
    name = "@@name@@"
    types = {"team": "group", "account": "account"}  # groups first: accounts refer to them
    fields = tuple(FIELDS)
    passwords = True

    def __init__(self, app, settings):
        super().__init__(app, settings)
        self.page = settings.get("page_size", 200)
        self.api = Http(self, settings["url"], headers={"Authorization": f"Bearer {settings['token']}"})

    def check(self):
        self.api.get("/teams", limit=1)

    def list(self, slug, cursor):
        page = self.api.get("/teams" if slug == "team" else "/users", after=cursor, limit=self.page)
        record = (lambda team: {"id": team["id"], "name": team["name"]}) if slug == "team" else self.record
        # The API itself says whether there are more records. A short page proves nothing.
        return [record(item) for item in page["items"]], page["next"]

    def search(self, field, text):
        if field == "id":
            user = self.api.get(["users", text], absent=True)
            return [self.record(user)] if user else []
        pages = self.api.pages("/users", {FIELDS[field]: text, "limit": self.page}, cursor="after", next="next")
        return [self.record(user) for page in pages for user in page["items"]]

    def create_account(self, task):
        return self.api.send("POST", "/users", self.body(task))["id"]

    def update_account(self, found, task):
        body = self.body(task)
        if body:
            self.api.send("PATCH", ["users", found["id"]], body)

    def delete_account(self, found):
        self.api.send("DELETE", ["users", found["id"]])

    def suspend_account(self, found):
        self.api.send("PATCH", ["users", found["id"]], {"enabled": False})

    def unsuspend_account(self, found):
        self.api.send("PATCH", ["users", found["id"]], {"enabled": True})

    def reset_password(self, found, password):
        self.api.send("PATCH", ["users", found["id"]], {"password": password})

    def body(self, task):
        """Everything that a task sets, with the API's names, in one request, so that nothing is ever half done."""
        body = {FIELDS[name]: value for name, value in task.fields.items()}
        if task.status:
            body["enabled"] = task.status == "active"
        if task.password:
            body["password"] = task.password
        for id in task.memberships.get("team", ()):
            if self.api.get(["teams", id], absent=True) is None:
                raise refused(f"No team {id} in {self.app}", subject="group")
        if "team" in task.memberships:
            body["teams"] = task.memberships["team"]
        return body

    def record(self, user):
        """An account in Iden's format. An unreadable account is an error: if it were left out, it would be removed."""
        fields = {name: user.get(theirs) for name, theirs in FIELDS.items()}
        status = "active" if user["enabled"] else "suspended"
        return {"id": user["id"], "status": status, "memberships": {"team": user["teams"]},
                **{name: value for name, value in fields.items() if value is not None}}


serve(Target)
