// An HR system kept in a JSON file, as a bridgehead connector; docs/connectors/exec.md explains the protocol.
import { randomUUID, scryptSync } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";

const FIELDS = ["email", "username", "first_name", "last_name", "display_name", "status"];
const STATUSES = ["active", "inactive", "suspended"];
const PASSWORD = ["new_password", "password"];
const ELSEWHERE = ["id", "account_id", "memberships", "assignments", ...PASSWORD]; // read where they are needed
const TYPES = { team: "group", seat: "license", account: "account" };
const STATES = { suspend_account: { status: "suspended" }, unsuspend_account: { status: "active" } };
const ACTIONS = ["create_account", "update_account", "delete_account", ...Object.keys(STATES), "reset_password"];
const hr = {}; // "app" and "path", set by initialize
class Failure { // more: effect, retry, retry_after, subject
  constructor(code, message, more) { this.error = { code: -32000, message, data: { code, ...more } }; }
}

function initialize({ app, settings: { path } }) {
  Object.assign(hr, { app, path });
  const types = Object.entries(TYPES).map(([slug, type]) => ({ slug, name: slug[0].toUpperCase() + slug.slice(1), type }));
  return { name: "hr", version: "1.0", actions: ACTIONS, resource_types: types };
}

const load = () => JSON.parse(readFileSync(hr.path, "utf8")); // a missing file is an error, never an empty list

function list({ resource_type: slug, cursor }, size = 100) { // by key: no record is skipped when others are added or removed
  const [, after] = /^after (.*)$/s.exec(cursor ?? "after "); // a cursor that was never returned here is an error
  const records = Object.values(load()[slug]).filter((record) => record.id > after);
  const page = records.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, size);
  return { records: page, next: records.length > size ? `after ${page[size - 1].id}` : null };
}

function find(data, account) { // by id, else by username, else by email, the latter two ignoring case
  const key = ["id", "username", "email"].find((key) => account[key]);
  const fold = (text) => (key === "id" ? text : text.toLowerCase());
  return Object.values(data.account).find((one) => one[key] && fold(one[key]) === fold(account[key])) ?? null;
}

const refuse = (message, more) => new Failure("INTERNAL_ERROR", message, { effect: "not_applied", ...more });

function assign(data, record, slug, refs) { // replaces the whole list of this type; those of other types stay
  const subject = Object.hasOwn(TYPES, slug) ? TYPES[slug] : "none";
  if (!["group", "license"].includes(subject))
    throw refuse(`${hr.app} has no groups or licenses of the type ${slug}`, { subject: "group" });
  const kind = subject === "license" ? "assignments" : "memberships", ids = refs.map((ref) => ref.id ?? ref);
  for (const id of ids) { // not ACCOUNT_NOT_FOUND: the account exists
    if (!Object.hasOwn(data[slug], id)) throw refuse(`No ${slug} ${id} in ${hr.app}`, { subject });
    const held = Object.values(data.account).filter((one) => one.id !== record.id && one[kind]?.[slug]?.includes(id));
    if (held.length >= (data[slug][id].total ?? Infinity))
      throw new Failure("LICENSE_EXHAUSTED", `${hr.app} has no ${slug} ${id} left; buy more, or free one up`);
  }
  record[kind] = { ...record[kind], [slug]: ids };
}

function fill(data, record, fields) { // Iden would assume that a silently skipped field is set
  for (const [name, value] of Object.entries(fields)) {
    if (ELSEWHERE.includes(name)) continue;
    const fits = FIELDS.includes(name) && (value === null || typeof value === "string");
    if (!fits || (name === "status" && !STATUSES.includes(value)))
      throw refuse(`${hr.app} cannot keep this value of the field '${name}'`);
    record[name] = value;
  }
  const names = ["username", "email"].filter((key) => record[key]).map((key) => [key, record[key].toLowerCase()]);
  if (!names.length) throw refuse(`An account of ${hr.app} needs a user name or an email address`);
  for (const [key, name] of names)
    if (Object.values(data.account).some((one) => one.id !== record.id && one[key]?.toLowerCase() === name))
      throw new Failure("ACCOUNT_ALREADY_EXISTS", `User ${name} exists in ${hr.app} already`);
}

function password(task) { // it may be in the changes, in the account, or next to them
  const places = [task.changes ?? {}, task.account, task];
  const found = places.flatMap((place) => PASSWORD.map((name) => place[name])).find((value) => value != null);
  if (found !== undefined && (typeof found !== "string" || !found))
    throw refuse(`A password of ${hr.app} is non-empty text`);
  return found;
}

// bridgehead determines whether an earlier attempt succeeded, so `attempt` is not used.
function execute(action, task) {
  const { account, memberships } = task, changes = task.changes ?? {}, data = load();
  const create = action === "create_account", known = [...FIELDS, ...ELSEWHERE];
  const unknown = create ? Object.keys(account).filter((name) => !known.includes(name)) : [];
  let record = { id: randomUUID() };
  if (create) {
    const wanted = Object.entries({ ...account, ...changes })
      .filter(([name, value]) => value !== null && !unknown.includes(name));
    fill(data, record, { status: "active", ...Object.fromEntries(wanted) });
  } else {
    const found = find(data, account), label = account.id ?? account.username ?? account.email;
    if (!found) throw new Failure("ACCOUNT_NOT_FOUND", `User ${label} not found in ${hr.app}`);
    record = { ...found };
    fill(data, record, STATES[action] ?? (action === "update_account" ? changes : {}));
  }
  if (["create_account", "update_account"].includes(action))
    for (const [slug, refs] of Object.entries(memberships ?? {})) assign(data, record, slug, refs);
  data.password ??= {}; // kept apart from the records, which go to Iden
  if (["create_account", "update_account", "reset_password"].includes(action)) {
    const secret = password(task);
    if (secret) data.password[record.id] = scryptSync(secret, record.id, 64, { N: 2 ** 14, r: 8, p: 1 }).toString("hex");
    else if (action === "reset_password") throw refuse(`${hr.app} makes up no password; the task must bring one`);
  }
  data.account[record.id] = record;
  if (action === "delete_account") for (const table of ["account", "password"]) delete data[table][record.id];
  writeFileSync(`${hr.path}.new`, JSON.stringify(data, null, 2));
  renameSync(`${hr.path}.new`, hr.path); // replaced completely or not at all
  return { account_id: record.id, ...(unknown.length ? { fields_not_kept: unknown } : {}) }; // reported instead of dropped silently
}

const METHODS = { initialize, list, find_account: ({ account }) => find(load(), account), check: () => load() && {},
  shutdown: () => ({}) };

function answer(method, params) {
  try {
    return { result: ACTIONS.includes(method) ? execute(method, params) : METHODS[method](params) };
  } catch (error) {
    if (error instanceof Failure) return { error: error.error };
    if (!error.syscall) { // a bug in this file: the effect is unknown; the trace goes to the daemon's log
      console.error(error);
      return { error: new Failure("INTERNAL_ERROR", `hr.mjs failed: ${error.name}`, { effect: "unknown" }).error };
    } // an error of the file: nothing was changed, and every task would fail
    const code = error.code === "ENOENT" ? "TIMEOUT" : "PERMISSION_DENIED";
    const more = { effect: "not_applied", retry: "backoff", subject: "connection" };
    return { error: new Failure(code, `${hr.app} cannot use ${hr.path}: ${error.code}`, more).error };
  }
}

let rest = Buffer.alloc(0); // not readline: it breaks lines at other characters than line feeds, too
for await (const chunk of process.stdin) { // ends when bridgehead closes it, after shutdown or because it died
  rest = Buffer.concat([rest, chunk]);
  for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
    const { id, method, params } = JSON.parse(rest.subarray(0, end));
    rest = rest.subarray(end + 1);
    process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...answer(method, params) })}\n`);
  }
}
