// An HR system kept in a JSON file, as a bridgehead connector; docs/connectors/exec.md explains the protocol.
import { randomUUID, scryptSync } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";

const FIELDS = ["email", "username", "first_name", "last_name", "display_name", "status"];
const TYPES = { team: "group", seat: "license", account: "account" };
const STATES = { suspend_account: { status: "suspended" }, unsuspend_account: { status: "active" } };
const ACTIONS = ["create_account", "update_account", "delete_account", ...Object.keys(STATES), "reset_password"];
const hr = {}; // "app" and "path", as initialize was told
class Failure { // more: effect, retry, retry_after, subject
  constructor(code, message, more) { this.error = { code: -32000, message, data: { code, ...more } }; }
}

function initialize({ app, settings: { path } }) {
  Object.assign(hr, { app, path });
  const types = Object.entries(TYPES).map(([slug, type]) => ({ slug, name: slug[0].toUpperCase() + slug.slice(1), type }));
  return { name: "hr", version: "1.0", actions: ACTIONS, resource_types: types };
}

const load = () => JSON.parse(readFileSync(hr.path, "utf8")); // a missing file is an error, never "nobody there"

function list({ resource_type: slug, cursor }, size = 100) { // by key: nobody is skipped when others come and go
  const [, after] = /^after (.*)$/s.exec(cursor ?? "after "); // one that was never given here is an error
  const records = Object.values(load()[slug]).filter((record) => record.id > after);
  const page = records.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, size);
  return { records: page, next: records.length > size ? `after ${page[size - 1].id}` : null };
}

function find(data, account) { // by id, else by user name, else by e-mail, these two in any case
  const key = ["id", "username", "email"].find((key) => account[key]);
  const fold = (text) => (key === "id" ? text : text.toLowerCase());
  return Object.values(data.account).find((one) => one[key] && fold(one[key]) === fold(account[key])) ?? null;
}

function assign(data, record, slug, ids) {
  const kind = TYPES[slug] === "license" ? "assignments" : "memberships";
  for (const id of ids) {
    const missing = { effect: "not_applied", subject: TYPES[slug] }; // not ACCOUNT_NOT_FOUND: the account is there
    if (!Object.hasOwn(data[slug], id)) throw new Failure("INTERNAL_ERROR", `No ${slug} ${id} in ${hr.app}`, missing);
    const held = Object.values(data.account).filter((one) => one !== record && one[kind]?.[slug]?.includes(id));
    if (held.length >= (data[slug][id].total ?? Infinity))
      throw new Failure("LICENSE_EXHAUSTED", `${hr.app} has no ${slug} ${id} left; buy more, or free one up`);
  }
  record[kind] = { ...record[kind], [slug]: ids };
}

function execute(action, { account, memberships, changes }) {
  const data = load(), label = account.id ?? account.username ?? account.email, create = action === "create_account";
  let record = find(data, account);
  if (create) {
    const taken = ["username", "email"].some((key) => account[key] && find(data, { [key]: account[key] }));
    if (taken) throw new Failure("ACCOUNT_ALREADY_EXISTS", `User ${label} exists in ${hr.app} already`);
    record = { id: randomUUID(), status: "active" };
  }
  if (!record) throw new Failure("ACCOUNT_NOT_FOUND", `User ${label} not found in ${hr.app}`);
  const wanted = { ...(create ? account : {}), ...changes, ...STATES[action] };
  for (const name of FIELDS) if (name in wanted) record[name] = wanted[name];
  for (const [slug, refs] of Object.entries(memberships ?? {})) assign(data, record, slug, refs.map((ref) => ref.id ?? ref));
  const password = wanted.new_password ?? wanted.password ?? account.password;
  data.password ??= {}; // apart from the records, which go to Iden
  if (password) data.password[record.id] = scryptSync(password, record.id, 64, { N: 2 ** 14, r: 8, p: 1 }).toString("hex");
  data.account[record.id] = record;
  if (action === "delete_account") for (const table of ["account", "password"]) delete data[table][record.id];
  writeFileSync(`${hr.path}.new`, JSON.stringify(data, null, 2));
  renameSync(`${hr.path}.new`, hr.path); // whole or not at all
  return { account_id: record.id };
}

const METHODS = { initialize, list, find_account: ({ account }) => find(load(), account), check: () => load() && {},
  shutdown: () => ({}) };

function answer(method, params) {
  try {
    return { result: ACTIONS.includes(method) ? execute(method, params) : METHODS[method](params) };
  } catch (error) {
    if (error instanceof Failure) return { error: error.error };
    if (!error.syscall) { // a fault in here: what was done is not known; the trace goes to the daemon's log
      console.error(error);
      return { error: new Failure("INTERNAL_ERROR", `hr.mjs failed: ${error.name}`, { effect: "unknown" }).error };
    } // of the file: nothing was changed, and every task meets the same fate
    const code = error.code === "ENOENT" ? "TIMEOUT" : "PERMISSION_DENIED";
    const more = { effect: "not_applied", retry: "backoff", subject: "connection" };
    return { error: new Failure(code, `${hr.app} cannot use ${hr.path}: ${error.code}`, more).error };
  }
}

let rest = Buffer.alloc(0); // not readline: it breaks lines at more than a line feed
for await (const chunk of process.stdin) { // ends when bridgehead closes it, after shutdown or because it died
  rest = Buffer.concat([rest, chunk]);
  for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
    const { id, method, params } = JSON.parse(rest.subarray(0, end));
    rest = rest.subarray(end + 1);
    process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...answer(method, params) })}\n`);
  }
}
