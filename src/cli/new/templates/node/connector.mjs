// Connects @@name@@ to Iden. The generated code uses the small API in sample-api.mjs: replace the paths and field names with those of
// your system. bridgehead.mjs does the rest.
import { Connector, Http, refused, serve } from "./bridgehead.mjs";

// The API's names for the fields of an account.
const FIELDS = { username: "login", email: "mail", first_name: "given_name", last_name: "surname", display_name: "title" };

class Target extends Connector {
  static title = "@@name@@";
  static types = { team: "group", account: "account" }; // groups first: accounts refer to them
  static fields = Object.keys(FIELDS);
  static passwords = true;

  constructor(app, settings) {
    super(app, settings);
    this.page = settings.page_size ?? 200;
    this.api = new Http(this, settings.url, { headers: { authorization: `Bearer ${settings.token}` } });
  }

  async check() {
    await this.api.get("/teams", { limit: 1 });
  }

  async list(slug, cursor) {
    const page = await this.api.get(slug === "team" ? "/teams" : "/users", { after: cursor, limit: this.page });
    const record = slug === "team" ? ({ id, name }) => ({ id, name }) : this.record;
    // The API itself says whether there are more records. A short page proves nothing.
    return { records: page.items.map(record), next: page.next };
  }

  async search(field, text) {
    if (field === "id") {
      const user = await this.api.get(["users", text], {}, { absent: true });
      return user ? [this.record(user)] : [];
    }
    const found = [];
    const pages = this.api.pages("/users", { [FIELDS[field]]: text, limit: this.page }, { cursor: "after", next: "next" });
    for await (const page of pages) found.push(...page.items.map(this.record));
    return found;
  }

  async create_account(task) {
    return (await this.api.send("POST", "/users", { body: await this.body(task) })).id;
  }

  async update_account(found, task) {
    const body = await this.body(task);
    if (Object.keys(body).length) await this.api.send("PATCH", ["users", found.id], { body });
  }

  async delete_account(found) {
    await this.api.send("DELETE", ["users", found.id]);
  }

  async suspend_account(found) {
    await this.api.send("PATCH", ["users", found.id], { body: { enabled: false } });
  }

  async unsuspend_account(found) {
    await this.api.send("PATCH", ["users", found.id], { body: { enabled: true } });
  }

  async reset_password(found, password) {
    await this.api.send("PATCH", ["users", found.id], { body: { password } });
  }

  /** Everything that a task sets, with the API's names, in one request, so that nothing is ever half done. */
  async body({ fields, status, password, memberships }) {
    const body = Object.fromEntries(Object.entries(fields).map(([name, value]) => [FIELDS[name], value]));
    if (status) body.enabled = status === "active";
    if (password) body.password = password;
    for (const id of memberships.team ?? [])
      if (!(await this.api.get(["teams", id], {}, { absent: true }))) throw refused(`No team ${id} in ${this.app}`, { subject: "group" });
    if (memberships.team) body.teams = memberships.team;
    return body;
  }

  /** An account in Iden's format. An unreadable account is an error: if it were left out, it would be removed. */
  record(user) {
    const fields = Object.entries(FIELDS).map(([name, theirs]) => [name, user[theirs]]).filter(([, value]) => value != null);
    const status = user.enabled ? "active" : "suspended";
    return { id: user.id, status, memberships: { team: user.teams }, ...Object.fromEntries(fields) };
  }
}

await serve(Target);
