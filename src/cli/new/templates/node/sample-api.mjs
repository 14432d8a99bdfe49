// A small web API for trying out the connector: users and teams in memory. Your system replaces it.
//
//     node sample-api.mjs [PORT]        the token is "sample-token"; "read-only-token" allows no changes
import { createServer } from "node:http";

const TOKENS = { "sample-token": true, "read-only-token": false };
const TEXTS = ["login", "mail", "given_name", "surname", "title"];
const tables = { teams: new Map(), users: new Map() };
["Engineering", "Sales", "Support"].forEach((name, at) => tables.teams.set(`t${at + 1}`, { id: `t${at + 1}`, name }));
const passwords = new Map(); // never returned
let count = 0;

class Refused extends Error {
  constructor(status, problem) {
    super(problem);
    this.status = status;
  }
}

function change(user, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const fits = TEXTS.includes(name)
      ? value === null || (typeof value === "string" && !value.includes("\0"))
      : ["enabled", "teams", "password"].includes(name);
    if (!fits) throw new Refused(422, `${name} cannot be set so`);
  }
  for (const name of ["login", "mail"])
    for (const other of tables.users.values())
      if (other.id !== user.id && fields[name] && other[name]?.toLowerCase() === fields[name].toLowerCase())
        throw new Refused(409, "the login or the email is taken");
  if (!(fields.teams ?? []).every((id) => tables.teams.has(id))) throw new Refused(422, "team not found");
  const { password, ...shown } = fields;
  if (password) passwords.set(user.id, password);
  return { ...user, ...shown };
}

function add(fields) {
  const id = `u${String(count + 1).padStart(6, "0")}`;
  const empty = Object.fromEntries(TEXTS.map((name) => [name, null]));
  tables.users.set(id, change({ id, enabled: true, teams: [], ...empty }, fields));
  count += 1;
  return tables.users.get(id);
}

/** Like many APIs, it finds every name that contains the text, and limits the page size. */
function page(table, query) {
  const limit = Math.min(Number(query.get("limit") ?? 100), 100), after = query.get("after") ?? "";
  const filters = TEXTS.filter((name) => query.has(name)).map((name) => [name, query.get(name).toLowerCase()]);
  const fits = (one) => filters.every(([name, text]) => (one[name] ?? "").toLowerCase().includes(text));
  const rest = [...table.keys()].sort().filter((id) => id > after && fits(table.get(id)));
  return { items: rest.slice(0, limit).map((id) => table.get(id)), next: rest.length > limit ? rest[limit - 1] : null };
}

function route(method, [kind, id], query, body) {
  const table = tables[kind];
  if (!table || (id !== undefined && !table.has(id))) throw new Refused(404, "not found");
  if (method === "GET") return [200, id === undefined ? page(table, query) : table.get(id)];
  if (kind === "users" && method === "POST" && id === undefined) return [201, add(body)];
  if (kind === "users" && method === "PATCH" && id !== undefined) {
    table.set(id, change(table.get(id), body));
    return [200, table.get(id)];
  }
  if (kind === "users" && method === "DELETE" && id !== undefined) {
    table.delete(id);
    return [204];
  }
  throw new Refused(405, "that cannot be done");
}

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  let status, told;
  try {
    if (!Object.hasOwn(TOKENS, token)) throw new Refused(401, "who are you?");
    if (request.method !== "GET" && !TOKENS[token]) throw new Refused(403, "this token is read-only");
    const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
    [status, told] = route(request.method, pathname.slice(1).split("/").map(decodeURIComponent), searchParams, body);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    [status, told] = [error.status, { problem: error.message }];
  }
  response.writeHead(status, { "content-type": "application/json" }).end(told && JSON.stringify(told));
}

["ada", "grace", "alan"].forEach((name, at) => add({ login: name, mail: `${name}@example.org`, teams: [`t${at + 1}`] }));
const server = createServer((request, response) => answer(request, response).catch(() => response.destroy()));
server.listen(Number(process.argv[2] ?? 8099), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
