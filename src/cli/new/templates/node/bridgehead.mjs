// Everything that a bridgehead connector in Node.js needs besides its own code: the protocol, errors, HTTP, paging and redaction.
//
// Copied into your project by `bridgehead new`; it is yours, and needs Node.js 18 or later and nothing else. A connector is a
// subclass of `Connector` and a last line, `serve(MyConnector)`. bridgehead's docs/connectors/exec.md explains the protocol.
import { AsyncLocalStorage } from "node:async_hooks";
import { Console } from "node:console";

const PASSWORD = ["new_password", "password"];
export const NAMES = ["username", "email", "first_name", "last_name", "display_name"];
const STATUSES = ["active", "inactive", "suspended"];
const ELSEWHERE = ["id", "account_id", "memberships", "assignments", "status", ...PASSWORD];
const ACTIONS = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account", "reset_password"];
const CURSOR = "at:";
const LARGEST = 16 * 1024 * 1024; // the maximum size of a response in bytes
const current = new AsyncLocalStorage(); // the current call: whether it has changed anything

/**
 * An error with its four parts. Omitted parts depend on the code, as docs/connectors/exec.md explains.
 *
 * code: ACCOUNT_NOT_FOUND, ACCOUNT_ALREADY_EXISTS, LICENSE_EXHAUSTED, PERMISSION_DENIED, RATE_LIMITED, TIMEOUT, INTERNAL_ERROR
 * effect: "not_applied" only if it is certain that nothing was changed, otherwise "unknown"
 * retry: "never" or "backoff"; retry_after: seconds that the target asks to wait
 * subject: what it is about: "account", "group", "license", or "connection" if every call would fail
 */
export class Failure extends Error {
  constructor(code, message, parts = {}) {
    super(message);
    this.parts = { code, ...Object.fromEntries(Object.entries(parts).filter(([, part]) => part != null)) };
  }
}

/** The target does not support the request, and nothing was changed. */
export const refused = (message, parts) => new Failure("INTERNAL_ERROR", message, { effect: "not_applied", ...parts });

const isId = (id) => typeof id === "string" && id !== "";

/** A validated task. */
class Task {
  constructor(connector, action, params) {
    const { account } = params, changes = params.changes ?? {}, { app, constructor: kind } = connector;
    const create = action === "create_account", sets = create || action === "update_account";
    Object.assign(this, { action, account, task_id: params.task_id, may_have_applied: params.may_have_applied ?? false });
    // Fields of other actions are not requests to set them.
    const given = { ...(create ? account : {}), ...(sets ? changes : {}) };
    /** Only names from `Connector.fields`, with a string or null (to clear the field). */
    this.fields = {};
    /** Fields of a new account that the target cannot store. They are listed in the result and left out. */
    this.not_kept = [];
    for (const [name, value] of Object.entries(given)) {
      if (ELSEWHERE.includes(name)) continue;
      const known = kind.fields.includes(name);
      if (!known && create && !Object.hasOwn(changes, name)) {
        if (value !== null) this.not_kept.push(name);
      } else if (!known || !(value === null || typeof value === "string")) {
        throw refused(`${app} cannot store this value of the field '${name}'`);
      } else if (value !== null || !create) {
        this.fields[name] = value;
      }
    }
    /** "active", "inactive", "suspended", or undefined if the task does not set it. */
    this.status = given.status ?? undefined;
    if (this.status !== undefined && !STATUSES.includes(this.status)) throw refused(`${app} does not have this status as the task asks for`);
    if (sets || action === "reset_password") this.password = password(connector, [changes, account, params]);
    /** By slug, the complete list of ids for the account. Memberships of other slugs stay unchanged. */
    this.memberships = {};
    for (const [slug, refs] of Object.entries((sets && params.memberships) || {})) {
      const type = Object.hasOwn(kind.types, slug) ? kind.types[slug] : undefined;
      if (!["group", "license"].includes(type)) throw refused(`${app} has no groups or licenses of the type ${slug}`, { subject: "group" });
      const ids = refs.map((ref) => (typeof ref === "string" ? ref : ref?.id));
      if (!ids.every((id) => typeof id === "string" && id)) throw refused(`a reference to a ${slug} of ${app} must have an id`, { subject: "group" });
      this.memberships[slug] = [...new Set(ids)];
    }
  }
}

function password({ app, constructor: kind }, places) {
  const found = places.flatMap((place) => PASSWORD.map((name) => place[name])).find((value) => value != null);
  if (found === undefined) return undefined;
  if (typeof found !== "string" || !found) throw refused(`a password of ${app} must be non-empty text`);
  if (!kind.passwords) throw refused(`${app} does not store passwords; omit them from what Iden sends`);
  return found;
}

/** Subclass this. Every method may throw a `Failure`; any other exception is an INTERNAL_ERROR of unknown effect. */
export class Connector {
  /** Reported to bridgehead. */
  static title = "connector";
  static version = "0.1.0";
  /** The slugs of the listed types, in this order, with their kind: "group", "license" or "account". */
  static types = { account: "account" };
  /** The fields of an account that can be set. */
  static fields = NAMES;
  /** Fields that the target accepts but never returns. */
  static unverifiable = [];
  /** Whether the target stores passwords. */
  static passwords = false;

  /** `app` is the name of the target in messages, `settings` the table `settings` of the configuration. */
  constructor(app, settings) {
    Object.assign(this, { app, settings });
  }

  /** Fails if the target is unreachable or rejects the credential. Changes nothing. */
  async check() {
    throw new Error("check is not written");
  }

  /**
   * Returns one page: { records, next }, with `next` null at the end; `cursor` is null for the first page. An account that is missing
   * from a completed listing is removed, so unreadable data must be a Failure, never a short page.
   */
  async list(_slug, _cursor) {
    throw new Error("list is not written");
  }

  /**
   * Returns the records of accounts whose `field` ("id", "username" or "email") may be `text`; additional ones do no harm. An empty
   * list means that the account definitely does not exist.
   */
  async search(_field, _text) {
    throw new Error("search is not written");
  }

  // Only the methods that you implement are declared as capabilities. `found` is the record that `search` returned.
  //
  //   create_account(task) -> id        update_account(found, task)       delete_account(found)
  //   suspend_account(found)            unsuspend_account(found)          reset_password(found, password) -> result or nothing

  /** Returns the record of an account, by its id, otherwise by its user name, otherwise by its email; null if it does not exist. */
  async find(account) {
    const field = ["id", "username", "email"].find((name) => account[name]);
    if (!field) return null;
    const folded = (text) => text.normalize("NFD").toLowerCase().normalize("NFC");
    const fold = (text) => (field === "id" ? String(text) : folded(String(text)));
    const records = await this.search(field, String(account[field]));
    // Unreadable data does not prove that the account is missing.
    if (!records.every((one) => one && isId(one.id))) throw new Failure("INTERNAL_ERROR", `${this.app} answered with an account that has no id`);
    const hits = records.filter((one) => one[field] && fold(one[field]) === fold(account[field]));
    if (new Set(hits.map((one) => one.id)).size > 1)
      throw refused(`${this.app} has several accounts with the ${field} ${account[field]}; cannot tell which one to use`);
    return hits[0] ?? null;
  }

  async #free(task, own) {
    for (const field of ["username", "email"]) {
      const name = task.fields[field], other = name && (await this.find({ [field]: name }));
      if (other && other.id !== own) throw new Failure("ACCOUNT_ALREADY_EXISTS", `User ${name} exists in ${this.app} already`);
    }
  }

  async execute(action, params) {
    const task = new Task(this, action, params), { app } = this;
    const named = (fields) => {
      if (!fields.username && !fields.email) throw refused(`an account of ${app} needs a user name or an email address`);
    };
    if (action === "create_account") {
      named(task.fields);
      await this.#free(task);
      const result = { account_id: await this.create_account(task) };
      if (!isId(result.account_id)) throw new Failure("INTERNAL_ERROR", `${app} did not say the id of the new account`, { effect: "unknown" });
      return task.not_kept.length ? { ...result, fields_not_kept: task.not_kept } : result;
    }
    const found = await this.find(task.account);
    if (!found) {
      const label = task.account.id ?? task.account.username ?? task.account.email;
      throw new Failure("ACCOUNT_NOT_FOUND", `User ${label} not found in ${app}`);
    }
    if (action === "update_account") {
      named({ ...found, ...task.fields });
      await this.#free(task, found.id);
    }
    if (action === "reset_password" && !task.password) throw refused(`${app} does not generate passwords; the task must include one`);
    const more = { update_account: task, reset_password: task.password }[action];
    return (await this[action](found, more)) ?? {};
  }
}

/** What `JSON.parse` changes in silence: it drops the first of two members with the same name, and rounds whole numbers above 2^53. */
export function misread(text) {
  const open = []; // the names of the members of each object that is open; null for a list
  let last;
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]|-?\d[\d.eE+-]*/gs)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (token === ":") {
      const name = JSON.parse(last), names = open.at(-1);
      if (names.has(name)) return "an object that has a member twice";
      names.add(name);
    } else if (/^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token))) {
      return "a number that JavaScript would round; have it send text, or read the number as text";
    }
    last = token;
  }
  return null;
}

/** An HTTP API with JSON. Every unsuccessful response is a Failure that says what it means; redirects are not followed. */
export class Http {
  constructor(connector, url, { headers = {}, timeout = 20 } = {}) {
    Object.assign(this, { app: connector.app, url: url.replace(/\/+$/, ""), timeout });
    this.headers = { accept: "application/json", ...headers };
  }

  /** Returns the JSON response to a GET; null for a 404 with `absent`, for paths whose 404 definitely means "does not exist". */
  get(path, query = {}, { absent = false } = {}) {
    return this.send("GET", path, { query, absent });
  }

  /** Yields every page of a search: `next` is the member with the cursor of the next page, `cursor` the parameter for it. A cursor that
   *  comes again is a Failure, because the search would never end. */
  async *pages(path, query, { cursor, next }) {
    const seen = new Set();
    for (let at = null; ; ) {
      const page = await this.get(path, { ...query, [cursor]: at });
      yield page;
      at = page[next];
      if (at === null) return;
      if (seen.has(at)) throw new Failure("INTERNAL_ERROR", `${this.app} answers a search with the same cursor twice`);
      seen.add(at);
    }
  }

  /** Sends a request once: bridgehead decides about retries. `path` is a string, or an array of its segments. */
  async send(method, path, { body, query = {}, absent = false } = {}) {
    // These cannot be a segment of a URL path: without this check, another resource would be requested.
    if (Array.isArray(path) && path.some((part) => ["", ".", ".."].includes(part) || /\p{Cc}/u.test(part))) {
      if (absent) return null;
      throw refused(`${this.app} has nothing of this identifier`);
    }
    const where = Array.isArray(path) ? `/${path.map(encodeURIComponent).join("/")}` : path;
    const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null)).toString();
    const changes = !["GET", "HEAD"].includes(method), { app } = this;
    const headers = body === undefined ? this.headers : { ...this.headers, "content-type": "application/json" };
    const signal = AbortSignal.timeout(this.timeout * 1000);
    let answer, text;
    try {
      answer = await fetch(this.url + where + (asked && `?${asked}`), { method, headers, signal, redirect: "manual", body: body && JSON.stringify(body) });
      if (answer.ok && changes) current.getStore().changed = true;
      text = await read(answer);
    } catch (error) {
      throw this.#broken(error);
    }
    if (answer.status === 404 && absent) return null;
    if (!answer.ok) throw this.#refusal(answer, changes);
    if (text === undefined) throw new Failure("INTERNAL_ERROR", `an answer of ${app} is larger than ${LARGEST} bytes`);
    if (!text && changes) return null;
    let found;
    try {
      found = JSON.parse(text);
    } catch {
      throw new Failure("INTERNAL_ERROR", `${app} answered ${answer.status} to ${method} ${where} with invalid JSON`);
    }
    const fault = misread(text);
    if (fault) throw new Failure("INTERNAL_ERROR", `${app} answered ${answer.status} to ${method} ${where} with ${fault}`);
    // Null means that it does not exist, which only a 404 proves.
    if (found === null && !changes)
      throw new Failure("INTERNAL_ERROR", `${app} answered ${answer.status} to ${method} ${where} with nothing in it`);
    return found;
  }

  #refusal({ status, headers }, changes) {
    const { app } = this, told = `${app} answered ${status}`, retry_after = retryAfter(headers), effect = "not_applied", retry = "backoff";
    if (status === 401)
      return new Failure("PERMISSION_DENIED", `${app} rejected the connector's own credential (401)`, { effect, retry, subject: "connection" });
    if (status === 403) return new Failure("PERMISSION_DENIED", `${told}: the connector may not do this`, { effect });
    if ([404, 410].includes(status) && changes) return new Failure("ACCOUNT_NOT_FOUND", told, { effect });
    if (status === 409 && changes) return new Failure("ACCOUNT_ALREADY_EXISTS", told, { effect });
    if (status === 429) return new Failure("RATE_LIMITED", `${told}: it limits the rate of calls`, { effect, retry, retry_after });
    if ([408, 504].includes(status)) return new Failure("TIMEOUT", told, { effect: "unknown", retry, retry_after });
    if (status >= 500)
      return new Failure(status === 503 && retry_after ? "RATE_LIMITED" : "INTERNAL_ERROR", told, { effect: "unknown", retry, retry_after });
    return refused(told);
  }

  #broken(error) {
    const { app } = this, code = error.cause?.code ?? error.code ?? "";
    const neverSent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_TLS)/.test(code);
    if (neverSent)
      return new Failure("TIMEOUT", `${app} is unreachable: ${code}`, { effect: "not_applied", retry: "backoff", subject: "connection" });
    if (error.name === "TimeoutError")
      return new Failure("TIMEOUT", `${app} did not respond within ${this.timeout} s`, { effect: "unknown", retry: "backoff" });
    const message = `the connection to ${app} failed before it responded: ${code || error.name}`;
    return new Failure("TIMEOUT", message, { effect: "unknown", retry: "backoff", subject: "connection" });
  }
}

/** The body; undefined if it is too large. */
async function read(answer) {
  const chunks = [];
  let length = 0;
  for await (const chunk of answer.body ?? []) {
    if ((length += chunk.length) > LARGEST) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function retryAfter(headers) {
  const text = headers.get("retry-after")?.trim();
  if (!text) return undefined;
  const wait = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.parse(headers.get("date"))) / 1000;
  return wait > 0 ? Math.min(wait, 3600) : undefined;
}

/** Returns the strings whose names indicate a secret. */
function secretsOf(settings, inherited = false) {
  return Object.entries(settings).flatMap(([name, value]) => {
    const secret = inherited || /password|token|secret|key|credential/i.test(name);
    if (value && typeof value === "object") return secretsOf(value, secret);
    return secret && typeof value === "string" && value.length > 3 ? [value] : [];
  });
}

/** Removes secrets as a second line of defense; the daemon removes them again, in more encodings. The first line is not to print them. */
function redact(text, secrets) {
  const forms = (secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), Buffer.from(secret).toString("base64")];
  return secrets.flatMap(forms).reduce((text, form) => text.replaceAll(form, "[redacted]"), text);
}

/** Handles bridgehead's requests until it closes standard input. */
export async function serve(kind) {
  // Standard output is only for responses; printed text goes to the daemon's log.
  globalThis.console = new Console(process.stderr, process.stderr);
  const actions = ACTIONS.filter((action) => typeof kind.prototype[action] === "function");
  let connector, secrets = [];

  const methods = {
    initialize({ app, settings = {} }) {
      secrets = secretsOf(settings);
      connector = new kind(app, settings);
      const name = (slug) => slug.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
      const resource_types = Object.entries(kind.types).map(([slug, type]) => ({ slug, name: name(slug), type }));
      const { title, version, unverifiable } = kind;
      return { name: title, version, actions, resource_types, ...(unverifiable.length ? { unverifiable } : {}) };
    },
    check: async () => (await connector.check(), {}),
    find_account: ({ account }) => connector.find(account),
    async list({ resource_type, cursor }) {
      if (cursor !== null && !cursor.startsWith(CURSOR)) throw refused(`${connector.app} was asked to continue from an invalid cursor`);
      const { records, next } = await connector.list(resource_type, cursor === null ? null : cursor.slice(CURSOR.length));
      if (next === undefined) throw new Error("list must say next: null at the end");
      return { records, next: next === null ? null : `${CURSOR}${next}` };
    },
    shutdown: () => ({}),
  };
  for (const action of actions) methods[action] = (params) => connector.execute(action, params);

  async function answer(method, params, call) {
    if (!Object.hasOwn(methods, method)) return { error: { code: -32601, message: `there is no method ${method}` } };
    const places = [params, params.account ?? {}, params.changes ?? {}];
    const passwords = places.flatMap((place) => PASSWORD.map((name) => place[name])).filter((one) => typeof one === "string" && one.length > 3);
    const clean = (text) => redact(text, [...secrets, ...passwords]);
    try {
      return { result: await methods[method](params) };
    } catch (error) {
      if (error instanceof Failure) {
        // An earlier step took effect, so the effect is not "not_applied".
        const data = call.changed && actions.includes(method) ? { retry: "never", ...error.parts, effect: "unknown" } : error.parts;
        return { error: { code: -32000, message: clean(error.message), data } };
      } // a bug in the connector; the daemon logs the trace
      process.stderr.write(`${clean(String(error?.stack ?? error))}\n`);
      const data = { code: "INTERNAL_ERROR", effect: "unknown" };
      return { error: { code: -32000, message: `the connector failed: ${error?.name ?? typeof error}`, data } };
    }
  }

  const running = new Set();
  let rest = Buffer.alloc(0); // not readline: it splits lines at more than a line feed
  for await (const chunk of process.stdin) { // ends when bridgehead closes it, after shutdown or a crash
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const { id, method, params = {} } = JSON.parse(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
      const call = { changed: false };
      const reply = current.run(call, () => answer(method, params, call));
      const said = reply.then((reply) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...reply })}\n`));
      running.add(said);
      said.finally(() => running.delete(said));
      if (method === "initialize") await said;
    }
  }
  // bridgehead has exited. Running calls may finish; the next start reads back the effect of the others.
  await Promise.race([Promise.allSettled(running), new Promise((done) => setTimeout(done, 3000))]);
  process.exit(0);
}
