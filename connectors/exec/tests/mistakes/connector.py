"""A bridgehead connector for a help desk over HTTP. It keeps the contract, except for the mistakes that its settings name."""
import base64, http.client, json, sys, time, traceback, unicodedata, urllib.parse

DESK = "the help desk"
FIELDS = ("username", "email", "first_name", "last_name", "display_name")
PASSWORD = ("new_password", "password")
ELSEWHERE = ("id", "account_id", "status", "memberships", "assignments", *PASSWORD)  # handled separately
TYPES = [{"slug": "team", "name": "Team", "type": "group"}, {"slug": "seat", "name": "Seat", "type": "license"},
         {"slug": "account", "name": "Account", "type": "account"}]
PATHS = {"team": "teams", "seat": "seats", "account": "users"}
ACTIONS = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account", "reset_password"]
settings = {}  # "address", "token" and "page", from initialize
found_before, pages_before, previous = {}, {}, {"id": 0, "cursor": ""}  # only used by mistakes


def has(*mistakes):
    return any(mistake in mistakes for mistake in settings.get("mistakes", ()))


def picked(usual=None, **by_mistake):
    return next((by_mistake[mistake] for mistake in settings.get("mistakes", ()) if mistake in by_mistake), usual)


class Failure(Exception):
    def __init__(self, code, message, **more):  # more: effect, retry, retry_after, subject
        super().__init__(message)
        self.error = {"code": -32000, "message": message, "data": {"code": code, **more}}


def refuse(message, **more):  # certainly changed nothing
    return Failure("INTERNAL_ERROR", message, effect="not_applied", **more)


# --- requests to the help desk


def once(method, path, body):
    host, port = settings["address"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=None if has("NoTimeout") else 10)
    headers = {"Authorization": f"Bearer {settings['token']}", "Content-Type": "application/json"}
    try:
        try:
            connection.connect()
        except OSError as error:
            held = {"retry": "never" if has("UnreachableIsFinal") else "backoff",
                    "subject": "account" if has("UnreachableIsAboutTheAccount") else "connection"}
            raise Failure("TIMEOUT", f"{DESK} is unreachable: {error.strerror}", effect="not_applied", **held)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        except (OSError, http.client.HTTPException) as error:  # it may have been executed
            if has("ExceptionIsNotApplied"):
                raise
            effect = "not_applied" if has("CutIsNotApplied") else "unknown"
            why = f"{DESK} did not answer: {type(error).__name__}"
            raise Failure("TIMEOUT", why, effect=effect, retry="backoff")
    finally:
        connection.close()


def ask(method, path, body=None):
    answer = once(method, path, body)
    status = answer[0]
    if (has("RetriesInside") and status == 503 or has("RetriesAfter429") and status == 429
            or has("RetriesReading") and status >= 500 and method == "GET"):
        time.sleep(0.05)
        return once(method, path, body)
    return answer


def path(*parts, **query):
    escaped = parts if has("PathIsNotEscaped") else (urllib.parse.quote(part, safe="") for part in parts)
    url = "/" + "/".join(escaped)
    if has("QueryIsNotEscaped"):
        return url + "?" + "&".join(f"{name}={value}" for name, value in query.items())
    return url + "?" + urllib.parse.urlencode(query) if query else url


def said(headers):  # Retry-After in seconds, if present
    after = headers.get("Retry-After", "")
    if has("WaitMustBeSaid"):
        after = headers["Retry-After"].strip()
    if has("WaitUntilIsAFault") and after:
        return {"retry_after": int(after)}
    return {"retry_after": int(after)} if after.isdigit() else {}


def refusal(what, status, body, headers):
    message = f"{what}: {DESK} answered {status}"
    if has("HttpErrorIsUnreachable") and status >= 500:  # urllib's HTTPError is an OSError
        return Failure("TIMEOUT", message, effect="not_applied", retry="backoff", subject="connection")
    if has("ErrorPageIsAFault"):
        message += f" ({json.loads(body)['error']})"
    if has("BodyInMessage"):
        message += f": {body.decode(errors='replace')}"
    if has("EveryErrorIsInternal"):
        return Failure("INTERNAL_ERROR", message)
    if status == 401:
        if has("CredentialIsAnAccountError"):
            return Failure("PERMISSION_DENIED", message)
        retry = picked("backoff", CredentialIsFinal="never", RetryMisspelt="later")
        subject = "target" if has("SubjectMisspelt") else "connection"
        return Failure("PERMISSION_DENIED", message, effect="not_applied", retry=retry, subject=subject)
    if status == 403:
        if has("ForbiddenIsInternal"):
            return refuse(message)
        if has("ForbiddenIsNotFound"):
            return Failure("ACCOUNT_NOT_FOUND", message)
        more = {"retry": "backoff"} if has("ForbiddenIsTriedAgain", "ForbiddenIsAConnectionError") else {}
        if has("ForbiddenIsAConnectionError"):
            more["subject"] = "connection"
        return Failure("PERMISSION_DENIED", message, **more)
    if status == 404 and not has("NotFoundIsInternal"):
        return Failure("ACCOUNT_NOT_FOUND", message)
    if status == 409:
        return refusal_of_a_duplicate(message)
    if status == 422 and b"teams" in body:
        if has("MissingTeamIsAMissingAccount"):
            return Failure("ACCOUNT_NOT_FOUND", message)
        return refuse(f"{what}: {DESK} has no such team", subject="group")
    if status == 422 and b"seats" in body:
        subject = "group" if has("MissingSeatIsAGroup") else "license"
        return refuse(f"{what}: {DESK} has no such seat", subject=subject)
    if status == 429:
        wait = {} if has("RetryAfterIsDropped") else said(headers)
        if has("RetryAfterInMinutes") and wait:
            wait = {"retry_after": wait["retry_after"] * 60}
        if has("RetryAfterInWords") and wait:
            wait = {"retry_after": f"{wait['retry_after']} seconds"}
        if has("TooManyIsFinal"):
            wait = {"retry": "never"}
        code = picked("RATE_LIMITED", TooManyIsPermission="PERMISSION_DENIED", TooManyIsInternal="INTERNAL_ERROR")
        return Failure(code, message, **wait)
    if status >= 500:  # it may have been executed before it failed
        if has("ServerErrorIsMissing"):
            return Failure("ACCOUNT_NOT_FOUND", message)
        if has("ServerErrorIsPermission"):
            return Failure("PERMISSION_DENIED", message)
        wait = {} if has("RetryAfterOf503IsDropped") else said(headers)
        effect = "not_applied" if has("ServerErrorIsNotApplied") else "unknown"
        retry = "never" if has("UnavailableIsFinal") else "backoff"
        return Failure("INTERNAL_ERROR", message, effect=effect, retry=retry, **wait)
    return refuse(message)


def refusal_of_a_duplicate(message):
    token = settings["token"]
    if has("DuplicateIsInternal"):
        return refuse(message)
    if has("EffectMisspelt"):
        return Failure("ACCOUNT_ALREADY_EXISTS", message, effect="not-applied")
    basic = base64.b64encode(f"bridgehead:{token}".encode()).decode()
    more = picked(SecretInMessage=f"token {token}", SecretInBase64=f"Authorization: Basic {basic}",
                  SecretCutShort=f"token {token[:12]}…", SecretInHexadecimal=f"key {token.encode().hex()}",
                  SecretInHeaders=repr({"Authorization": f"Bearer {token}"}),
                  SecretInUrl=f"http://{settings['address']}/users?token={urllib.parse.quote(token)}")
    if has("SecretInTraceback"):
        try:
            raise ValueError(f"refused: {{'token': '{token}'}}")
        except ValueError:
            more = traceback.format_exc()
    return Failure("ACCOUNT_ALREADY_EXISTS", f"{message} ({more})" if more else message)


def parsed(what, body):
    try:
        return json.loads(body)
    except ValueError:
        if has("ExceptionIsNotApplied"):
            raise
        if has("BodyOfHtmlInMessage"):
            raise Failure("INTERNAL_ERROR", f"{what}: no JSON: {body.decode(errors='replace')}")
        if has("UnexpectedIsNotApplied"):
            raise refuse(f"{what}: {DESK} answered something that is no JSON")
        raise Failure("INTERNAL_ERROR", f"{what}: {DESK} answered something that is no JSON")


def get(what, url):
    status, body, headers = ask("GET", url)
    if not 200 <= status < 300:
        raise refusal(what, status, body, headers)
    return parsed(what, body)


def send(what, method, url, body=None, creates=False):
    """Sends a change that the target must confirm."""
    status, answer, headers = ask(method, url, body)
    ignored = not creates and (
        has("AnyAnswerIsDone") or has("CredentialErrorIsDone") and status == 401
        or has("ForbiddenIsDone") and status == 403 or has("GoneIsDone") and status == 404
        or has("RedirectIsDone") and 300 <= status < 400 or has("ConflictIsDone") and status == 409
        or has("TooManyIsDone") and status == 429 or has("ServerErrorIsDone") and status >= 500)
    if ignored:
        return {}
    if not 200 <= status < 300:
        raise refusal(what, status, answer, headers)
    if status == 204:
        return {}
    if creates and has("CreatedWithoutAnId"):
        try:
            return json.loads(answer)
        except ValueError:
            return {}
    confirmed = parsed(what, answer)
    if not isinstance(confirmed, dict) or "error" in confirmed:
        raise Failure("INTERNAL_ERROR", f"{what}: {DESK} does not confirm it")
    if creates and not isinstance(confirmed.get("id"), str):
        raise Failure("INTERNAL_ERROR", f"{what}: {DESK} does not say under which id")
    return confirmed


# --- reading


def initialize(params):
    settings.update(params["settings"])
    types, actions = list(TYPES), list(ACTIONS)
    if has("DescribesNoActionsWhileDown", "DescribesNoGroupsWhileDown"):
        try:
            up = get("", path("health")).get("ok") is True
        except Exception:
            up = False
        if not up and has("DescribesNoActionsWhileDown"):
            actions = []
        elif not up:
            types = types[1:]
    if has("PrintsWhileStarting"):
        print("starting with page size", settings["page"])
    if has("UndeclaredAndCarriedOut"):
        actions.remove("unsuspend_account")
    if has("SlugTwice"):
        types.append(TYPES[0])
    if has("TypesAreTexts"):
        types = list(PATHS)
    if has("TypeMisspelt"):
        types[1] = {**types[1], "type": "licence"}
    version = picked("1.0", NoVersion="", VersionIsANumber=1.0, SecretInDescription=settings["token"])
    described = {"name": "help-desk", "version": version, "actions": actions, "resource_types": types}
    if has("NoActions"):
        del described["actions"]
    return described


def check(params):
    if has("CheckNeverAsks"):
        return {}
    if has("CheckIsRemembered") and previous.get("checked"):
        return {}
    status, body, headers = ask("GET", path("health"))
    previous["checked"] = 200 <= status < 300
    if has("CheckIgnoresTheStatus") or has("CheckPassesServerErrors") and not 400 <= status < 500:
        return {}
    if not 200 <= status < 300:
        raise refusal("check", status, body, headers)
    if has("CheckWrites"):
        probe = {"username": "probe", "email": "probe@example.org"}
        made = send("probe", "POST", path("users"), probe, creates=True)
        send("probe", "DELETE", path("users", made["id"]))
    if has("CheckMarks"):
        send("mark", "PATCH", path("users", "a000001"), {"seen": True})
    if parsed("check", body).get("ok") is not True:
        raise Failure("INTERNAL_ERROR", f"check: {DESK} is not in order")
    return {}


def page_of(kind, after):
    """A page from the help desk, and the start of the next one."""
    what, size, by_offset = f"{kind} cannot be listed", settings["page"], kind == "users" and has(
        "OffsetPaging", "OffsetByWhatWasAsked", "ShortPageIsAnEnd")
    query = {"limit": size, **({"offset": after or 0} if by_offset else {"after": after})}
    if has("PageWithoutBound"):
        query["all"] = 1
    nothing, later = {kind: [], "next": None}, after != ""
    try:
        status, body, headers = ask("GET", path(kind, **query))
    except Failure:
        if has("CutIsAnEnd", "AnyErrorIsAnEnd"):
            return nothing
        raise
    ends = status >= 300 and (
        has("AnyErrorIsAnEnd") or has("RedirectIsAnEnd") and status < 400 or has("LaterErrorIsAnEnd") and later or has("GroupErrorIsAnEnd") and kind != "users"
        or has(f"Page{status}IsAnEnd") or has("Page5xxIsAnEnd") and status >= 500)
    if ends or has("EmptyBodyIsAnEnd") and status == 200 and not body or has("NoContentIsAnEnd") and status == 204 \
            or has("NullIsAnEnd") and body == b"null":
        return nothing
    if not 200 <= status < 300:
        raise refusal(what, status, body, headers)
    try:
        page = parsed(what, body)
    except Failure:
        if has("HtmlIsAnEnd", "AnyErrorIsAnEnd"):
            return nothing
        raise
    if has("ErrorInBodyIsAnEnd"):
        return {kind: page.get(kind, []), "next": page.get("next"), "total": page.get("total")}
    if not isinstance(page, dict) or not isinstance(page.get(kind), list) or not by_offset and "next" not in page:
        raise Failure("INTERNAL_ERROR", f"{what}: {DESK} answered something else than a page")
    if by_offset:
        at = int(after or 0) + (size if has("OffsetByWhatWasAsked") else len(page[kind]))
        more = len(page[kind]) >= size if has("ShortPageIsAnEnd") else page[kind]
        page["next"] = str(at) if more else None
    return page


def list_records(params, gathered=[]):
    cursor, slug = params["cursor"], params["resource_type"]
    if has("ListingIsShared") and cursor is not None:
        slug = previous["slug"]
    previous["slug"] = slug
    kind = PATHS[slug]
    if has("PrintsInListing"):
        print("listing", kind, "from", cursor)
    if has("SleepsInListing"):
        time.sleep(60)
    mark = "after "
    if cursor is not None and not cursor.startswith(mark):
        if has("UnknownCursorIsAnEnd"):
            return {"records": [], "next": None}
        if not has("UnknownCursorBeginsAgain"):
            raise refuse(f"this is no cursor of {DESK}")
        cursor = None
    after, _, round_ = (cursor or mark)[len(mark):].partition("#")
    if has("CacheOfPages") and (kind, after) in pages_before:
        page = pages_before[kind, after]
    else:
        page = pages_before[kind, after] = page_of(kind, after)
    rows, following = page[kind], page["next"]
    if has("FirstPageOfGroups") and kind == "teams" or has("FirstPageOfLicences") and kind == "seats":
        following = None
    if has("TenPagesAreEnough") and after >= "a000899":
        following = None
    if has("CursorRepeats") and after:
        following = after
    if has("SameRecordsForEver") and kind == "users":
        following = f"{after}#{int(round_ or 0) + 1}"
    if (has("FullPageIsLost") and len(rows) == settings["page"] and following is None
            or has("LastOfManyIsLost") and len(rows) == 1 and after
            or has("LastPageIsLost") and following is None and after):
        rows = []
    if has("PageLosesItsLast") and following is not None:
        rows = rows[:-1]
    if has("RecordsComeTwice"):
        rows = rows + rows[:1]
    records = [shown(row) for row in rows if not left_out(row)] if kind == "users" else rows
    if has("PageIsAnotherTheSecondTime") and after and previous["cursor"] == after:
        records = records[:-1]
    previous["cursor"] = after
    if has("GathersInADefault") and kind == "users":
        gathered.extend(records)
        records = gathered
    answer = {"records": records, "next": None if following is None else f"{mark}{following}"}
    total = page.get("total")
    if total is not None:
        answer["total"] = picked(total, TotalIsTooLarge=total + 1, TotalIsText=str(total), TotalIsNan=float("nan"))
    if has("TotalIsCounted"):
        answer["total"] = len(records)
    if has("NoNextAtTheEnd") and following is None:
        del answer["next"]
    if has("EmptyTextAtTheEnd") and following is None:
        answer["next"] = ""
    if has("CursorIsANumber") and following is not None:
        answer["next"] = int(following[1:])
    if has("NoRecordsIsNull") and not records:
        answer["records"] = None
    return answer


def left_out(user):
    return (has("WithoutEmailIsLeftOut") and not user.get("email")
            or has("WithoutUsernameIsLeftOut") and not user.get("username")
            or has("SuspendedAreNotListed") and user.get("active") is False
            or has("UnreadableIsLeftOut") and not all(isinstance(user.get(name, ""), str) for name in FIELDS))


def shown(user, in_list=True):
    """A user of the help desk as a record."""
    record = {name: value for name, value in user.items() if name not in ("active", "teams", "seats")}
    record["status"] = "active" if user.get("active", True) or has("StatusIsAlwaysActive") else "suspended"
    teams = user.get("teams")
    if in_list and has("ListingShowsNoTeams"):
        teams = None
    if in_list and has("TeamErrorIsNoTeamInListing") and str(user.get("username")).startswith("bhk"):
        try:
            teams = get("teams", path("users", user["id"], "teams"))["teams"]
        except Exception:
            teams = None
    if teams:
        record["memberships"] = {"team": teams}
    if user.get("seats"):
        record["assignments"] = {"seat": user["seats"]}
    if in_list and has("ListingShowsOtherNames"):
        record["display_name"] = user.get("username")
    if has("MissingIsText"):
        record.update({name: str(user.get(name)) for name in FIELDS})
    if has("UnlistedTeam"):
        record["memberships"] = {"team": ["t9"]}
    if has("AccountWithoutName") and user["id"] == "a000000":
        del record["username"], record["email"]
    if has("NumberForAText"):
        record["display_name"] = len(user)
    if has("UnreadableFieldIsDropped"):
        record = {name: value for name, value in record.items() if name not in FIELDS or isinstance(value, str)}
    return record


def search(field, value):
    """The user with this field; the help desk ignores case."""
    what = f"User {value} cannot be looked for"
    if has("FindsOnTheFirstPage"):
        rows = page_of("users", "")["users"]
        return next((row for row in rows if str(row.get(field)).lower() == value.lower()), None)
    if has("NamesAreTrimmed"):
        value = value.strip()
    if has("DomainIsIgnored"):
        value = value.split("@")[0]
    if has("PlusTagIsIgnored") and "@" in value:
        value = value.split("+")[0] + "@" + value.split("@")[1] if "+" in value else value
    if has("DotsAreIgnored") and "@" in value:
        value = value.split("@")[0].replace(".", "") + "@" + value.split("@")[1]
    if has("RealmIsIgnored") and field == "username":
        value = value.split("@")[0].split("\\")[-1]
    if has("EmailFindsNobody") and field == "email":
        return None
    by_part = has("SubstringFirstHit", "PrefixFirstHit", "FirstHitOrNobody", "DomainIsIgnored", "SuffixOfEmail",
                  "LongestHit")
    is_pattern = has("LookUpByPattern") and value.endswith("*")
    query = {"q": value.rstrip("*") if is_pattern else value} if by_part or is_pattern else {field: value}
    status, body, headers = ask("GET", path("users", **query))
    if (has("Find403IsNobody") and status == 403 or has("Find404IsNobody") and status == 404
            or has("Find429IsNobody") and status == 429 or has("Find5xxIsNobody") and status >= 500
            or has("RedirectIsNobody") and 300 <= status < 400 or has("GoneIsNobody") and status == 410
            or has("NoContentIsNobody") and status == 204 or has("FindEmptyBodyIsNobody") and status == 200 and not body
            or has("NullIsNobody") and body == b"null"):
        return None
    if not 200 <= status < 300:
        raise refusal(what, status, body, headers)
    try:
        answer = parsed(what, body)
    except Failure:
        if has("FindHtmlIsNobody"):
            return None
        raise
    users = answer.get("users") if isinstance(answer, dict) else None
    if has("FindErrorInBodyIsNobody") and users is None:
        users = []
    if not isinstance(users, list):
        raise Failure("INTERNAL_ERROR", f"{what}: {DESK} answered something else than users")
    if has("SearchHidesTheSuspended"):
        users = [user for user in users if user.get("active", True)]

    def text(user):
        return str(user.get(field, "")).lower()

    wanted = value.lower()
    if has("SubstringFirstHit", "DomainIsIgnored") or is_pattern:
        return users[0] if users else None
    if has("PrefixFirstHit"):
        return next((user for user in users if text(user).startswith(wanted)), None)
    if has("SuffixOfEmail"):
        return next((user for user in users if text(user).endswith(wanted)), None)
    if has("LongestHit"):
        return max(users, key=lambda user: len(text(user)), default=None)
    if has("FirstHitOrNobody"):
        users = users[:1]
    if has("EmailByCase") and field == "email" or has("UsernameByCase") and field == "username":
        return next((user for user in users if user.get(field) == value), None)
    return next((user for user in users if text(user) == wanted), None)


def by_id(id_):
    what = f"User {id_} cannot be looked for"
    status, body, headers = ask("GET", path("users", id_))
    if status == 404 or has("Find403IsNobody") and status == 403:
        return None
    if not 200 <= status < 300:
        raise refusal(what, status, body, headers)
    user = parsed(what, body)
    if not isinstance(user, dict) or not isinstance(user.get("id"), str):
        if has("FindErrorInBodyIsNobody"):
            return None
        raise Failure("INTERNAL_ERROR", f"{what}: {DESK} answered something else than a user")
    if has("TeamErrorIsNoTeam"):
        try:
            user["teams"] = get(what, path("users", id_, "teams"))["teams"]
        except Exception:
            user["teams"] = []
    return user


def label(account):
    return account.get("id") or account.get("username") or account.get("email")


def find(account):
    """The user that a task identifies: by id, otherwise by user name, otherwise by email."""
    id_, username, email = (account.get(key) for key in ("id", "username", "email"))
    if has("CacheOfOwnWrites", "CacheOfNobody") and label(account) in found_before:
        return found_before[label(account)]
    if id_ and username and has("NameBeforeId"):
        found = search("username", username)
    elif id_:
        found = by_id(id_)
        if found is None and username and has("GoneIdFallsBackToName"):
            found = search("username", username)
        if found is None and email and has("GoneIdFallsBackToEmail"):
            found = search("email", email)
        if found is None and has("IdMayBeAName"):
            found = search("username", id_)
    elif username and email and has("EmailBeforeName"):
        found = search("email", email) or search("username", username)
    elif username:
        found = search("username", username)
        if found is None and email and has("NameOrEmail"):
            found = search("email", email)
    elif email:
        found = search("email", email)
    else:
        raise refuse("the task names nobody")
    if found or has("CacheOfNobody"):
        found_before[label(account)] = found
    return found


def find_account(params):
    if has("PrintsInLookUps"):
        print("looking for", label(params["account"]))
    try:
        user = find(params["account"])
    except Exception:
        if has("FindErrorIsNobody"):
            return None
        raise
    if user is None:
        if has("NobodyIsAnEmptyObject"):
            return {}
        if has("NobodyIsAnError"):
            raise Failure("ACCOUNT_NOT_FOUND", f"User {label(params['account'])} is not at {DESK}")
        return None
    if has("UnreadableIsNobody") and not all(isinstance(user.get(name, ""), str) for name in FIELDS):
        return None
    return shown(user, in_list=False)


# --- changing


def meant(account):
    """The id of the user that a task identifies."""
    missing = Failure("ACCOUNT_NOT_FOUND", f"User {label(account)} is not at {DESK}")
    if has("ActsByIdAlone") and not account.get("id") and not account.get("username"):
        raise missing
    try:
        user = find(account)
    except Failure:
        if has("AnyErrorIsMissing"):
            raise missing
        raise
    if user is None:
        raise missing
    return user["id"]


def references(task):
    """The teams and seats that a task requests, in the format of the help desk."""
    wanted = {}
    memberships = task["memberships"].items() if has("NoReferencesIsAFault") else (task["memberships"] or {}).items()
    for slug, refs in memberships:
        if slug not in ("team", "seat"):
            raise refuse(f"{DESK} has no groups or licenses of the type {slug}", subject="group")
        refs = refs or []
        if has("ObjectsAreNotRead"):
            refs = [ref for ref in refs if isinstance(ref, str)]
        ids = [ref["id"] if isinstance(ref, dict) else ref for ref in refs]
        if has("OnlyTheFirstReference"):
            ids = ids[:1]
        if has("LastReferenceIsLost") and len(ids) > 1:
            ids.pop()
        if has("MissingTeamIsIgnored"):
            ids = [one for one in ids if len(one) < 4]
        if (has("SeatsAreDropped") and slug == "seat" or has("TeamsAreDropped") and slug == "team"
                or has("EmptyListIsIgnored") and not ids):
            continue
        wanted[PATHS[slug]] = ids
    if has("OtherTypesAreCleared") and wanted:
        wanted = {"teams": [], "seats": [], **wanted}
    return wanted


def put_references(id_, wanted):
    """Sends one request for each team and seat."""
    for kind, ids in wanted.items():
        for one in ids:
            try:
                send("User cannot be added to a team", "PUT", path("users", id_, kind, one))
            except Failure as failure:
                if has("TeamFailureIsIgnored"):
                    continue
                if failure.error["data"]["code"] == "ACCOUNT_NOT_FOUND":  # the user existed a moment ago
                    raise refuse("a team is missing", subject="group" if kind == "teams" else "license")
                if has("TeamsSeparatelyNotApplied"):
                    failure.error["data"]["effect"] = "not_applied"
                raise failure


def written(text):
    """A string as it is sent."""
    if has("TextIsCutAt64"):
        return text[:64]
    if has("TextIsTrimmed"):
        return text.strip()
    if has("TextIsComposed"):
        return unicodedata.normalize("NFKC", text)
    if has("SpacesAreCollapsed"):
        return " ".join(text.split(" ")) if "  " not in text else " ".join(text.split())
    if has("TextIsEscaped"):
        return text.replace("&", "&amp;").replace("<", "&lt;")
    if has("TextIsAscii"):
        return text.encode("ascii", "replace").decode()
    return text


def password(task):
    """The password of a task: in the changes, in the account, or next to them."""
    places, names = (task["changes"] or {}, task["account"], task), PASSWORD
    if has("PasswordOnlyInAccount"):
        places = (task["account"],)
    if has("PasswordOnlyInPayload"):
        places = (task,)
    if has("PasswordOnlyInChanges"):
        places = (task["changes"] or {},)
    if has("NewPasswordIsNotRead"):
        names = ("password",)
    found = next((place[name] for place in places for name in names if place.get(name) is not None), None)
    if found is not None and not isinstance(found, str):
        raise refuse(f"a password of {DESK} is a text")
    if has("PasswordIsTrimmed") and found:
        found = found.strip()
    if has("PasswordOnStderr") and found:
        print("the new password is", found, file=sys.stderr)
    return found


def create(task):
    account, what = task["account"], f"User {label(task['account'])} cannot be created"
    if has("AttemptIsEvidence") and task["attempt"] > 2 or has("SecondCreationSucceeds") and task["may_have_applied"]:
        there = find(account)
        if there:
            return {"account_id": there["id"]}
    if has("FaultWithoutNames"):
        account["last_name"]
    if has("FaultWithoutEmail"):
        account["email"].lower()
    if has("FaultAtLetters"):
        str(account.get("display_name")).encode("ascii")
    user = previous.setdefault("user", {}) if has("FieldsOfTheOneBefore") else {}
    for name in FIELDS:
        value = account.get(name)
        if isinstance(value, str):
            user[name] = written(value)
        elif value is not None and not has("NonTextIsIgnored"):
            raise refuse(f"{what}: {name} must be a text")
    unknown = [name for name in account if name not in FIELDS and name not in ELSEWHERE]
    if unknown and has("UnknownFieldIsAnError"):
        raise refuse(f"{what}: unknown field {unknown[0]}")
    if has("UsernameIsCutAt20") and "username" in user:
        user["username"] = user["username"][:20]
    if has("LastNameIsDropped"):
        user.pop("last_name", None)
    if has("EmailIsDropped") and "username" in user:
        user.pop("email", None)
    if account.get("status") not in (None, "active") and not has("StatusOnCreateIsIgnored") and not (
            has("InactiveIsIgnored") and account["status"] == "inactive"):
        user["active"] = False
    if has("EveryoneIsCreatedSuspended"):
        user["active"] = False
    first = password(task)
    if first is not None and not has("PasswordOnCreateIsDropped"):
        user["password"] = first
    if first is not None and has("PasswordInRecord"):
        user["initial"] = first
    wanted = references(task)
    if has("CreateOverwrites", "CreateReactivates"):
        there = find(account)
        if there and (has("CreateOverwrites") or not there.get("active", True)):
            send(what, "PATCH", path("users", there["id"]), {**user, "active": True})
            return {"account_id": there["id"]}
    separately = has("TeamsSeparately", "TeamsSeparatelyNotApplied", "TeamFailureIsIgnored")
    if not separately and not has("ReferencesOnCreateAreIgnored"):
        user.update(wanted)
    if has("CreatesInTwoSteps"):
        bare = {name: user[name] for name in ("username", "email") if name in user}
        answered = send(what, "POST", path("users"), bare, creates=True)
        try:
            send(what, "PATCH", path("users", answered["id"]), user)
        except Failure as failure:
            failure.error["data"]["effect"] = "not_applied"
            raise
    else:
        answered = send(what, "POST", path("users"), user, creates=True)
    id_ = answered["id"] if not has("CreatedWithoutAnId") else answered.get("id", label(account))
    if separately:
        put_references(id_, wanted)
    if has("AnotherIdIsAnswered"):
        return {"account_id": "elsewhere"}
    if has("NoIdIsAnswered"):
        return {}
    result = {"account_id": id_, **({"fields_not_kept": unknown} if unknown else {})}
    return {**result, "initial": first} if has("PasswordInResult") and first else result


def wanted_fields(task, what):
    """The fields that an update changes, as they are sent; and one that the help desk does not know, if any."""
    user, unknown = {}, None
    changes = task["changes"] if has("NoChangesIsAFault") else task["changes"] or {}
    for name, value in changes.items():
        if name in ELSEWHERE and name != "status":
            continue
        if name == "status" and has("StatusChangeIsIgnored"):
            continue
        if name not in FIELDS:
            unknown = name
        elif (has("OnlyDisplayNameIsChanged") and name != "display_name" or has("UsernameIsNotChanged") and name == "username"
                or has("EmailIsNotChanged") and name == "email" or has("OneFieldIsChanged") and user):
            continue
        elif value is None:
            if not has("NullIsIgnored"):
                user[name] = str(value) if has("NullIsText") else None
        elif isinstance(value, str):
            user[name] = written(value)
        elif has("NonTextIsStored", "NonTextIsWritten"):
            user[name] = value if has("NonTextIsStored") else str(value)
        elif not has("NonTextIsIgnored"):
            raise refuse(f"{what}: {name} must be a text")
    return user, unknown


def update(task):
    what = f"User {label(task['account'])} cannot be changed"
    user, unknown = wanted_fields(task, what)
    wanted = references(task)
    if password(task) is not None:
        raise refuse(f"{what}: a password of {DESK} is set by reset_password alone")
    id_ = meant(task["account"])
    url = path("users", id_)
    if has("OwnNameIsTaken") and any(user.get(name) and search(name, user[name]) for name in ("username", "email")):
        raise Failure("ACCOUNT_ALREADY_EXISTS", f"{what}: the name is taken")
    if unknown and has("UnknownChangeAfterOthers"):
        send(what, "PATCH", url, user)
    if unknown and not has("UnknownChangeIsIgnored"):
        raise refuse(f"{what}: {DESK} has no field {unknown}")
    if not user and not wanted:
        if has("EmptyUpdateIsAnError"):
            raise refuse("nothing to change")
        return {}
    if has("ReferencesActivate") and not user:
        user["active"] = True
    if has("FirstNameClearsTheLast") and "first_name" in user:
        user.setdefault("last_name", None)
    if has("UpdateActivates"):
        user["active"] = True
    if has("UpdateClearsTheRest") and "display_name" in user:
        user["last_name"] = None
    if has("UpdateClearsTeams") and user and not wanted:
        user["teams"] = []
    if has("TakenNameIsAccepted") and "username" in user:
        user["merge"] = True
    if has("ReferencesOrFields") and user:
        send(what, "PATCH", url, user)
        return {}
    if has("RenameMakesAnother") and "username" in user:
        whole = {**by_id(id_), **user}
        del whole["id"]
        send(what, "DELETE", url)
        send(what, "POST", path("users"), whole, creates=True)
        return {}
    if wanted and has("TeamsSeparately", "TeamsSeparatelyNotApplied", "TeamFailureIsIgnored", "ReplacingOnlyAdds"):
        if user:
            send(what, "PATCH", url, user)
        if not has("ReplacingOnlyAdds"):
            send(what, "PATCH", url, {kind: [] for kind in wanted})
        put_references(id_, wanted)
        return {}
    user.update(wanted)
    if has("PartThenNotApplied"):
        for name, value in user.items():
            try:
                send(what, "PATCH", url, {name: value})
            except Failure as failure:
                failure.error["data"]["effect"] = "not_applied"
                raise
        return {}
    send(what, "PATCH", url, user)
    return {}


def change(action, task):
    account = task["account"]
    what = f"User {label(account)} cannot be changed"
    if action == "delete_account" and has("SecondDeletionSucceeds") and task["may_have_applied"] and not find(account):
        return {}
    if action == "delete_account" and has("DeleteByPattern") and (account.get("username") or "").endswith("*"):
        users = get(what, path("users", q=account["username"].rstrip("*")))["users"]
        if users:
            return send(what, "DELETE", path("users", users[0]["id"]))
    try:
        id_ = meant(account)
    except Failure as failure:
        gone = failure.error["data"]["code"] == "ACCOUNT_NOT_FOUND"
        if gone and (has("SuspendingNobodySucceeds") and action == "suspend_account"
                     or has("DeletingNobodySucceeds") and action == "delete_account"):
            return {}
        raise
    taken = {"suspend_account": "SuspendTakesOnlyTeams", "unsuspend_account": "UnsuspendTakesTeams",
             "reset_password": "ResetTakesTeams"}.get(action)
    if taken and has(taken):
        send(what, "PATCH", path("users", id_), {"teams": []})
    if action == "delete_account":
        if has("DeleteSuspends"):
            send(what, "POST", path("users", id_, "suspend"))
        else:
            send(what, "DELETE", path("users", id_))
    elif action == "reset_password":
        new = password(task)
        if has("PasswordInMessage"):
            what = f"User {label(account)} cannot be given the password {new}"
        if has("DeclaredAndNotOffered"):
            failure = Failure("INTERNAL_ERROR", "not found")
            failure.error = {"code": -32601, "message": "Method not found"}
            raise failure
        if not new and not has("PasswordOnlyInAccount", "PasswordOnlyInPayload", "PasswordOnlyInChanges", "NewPasswordIsNotRead"):
            raise refuse(f"{DESK} makes up no password; the task must bring one")
        send(what, "POST", path("users", id_, "password"), {"password": new})
        if has("ResetActivates"):
            send(what, "POST", path("users", id_, "unsuspend"))
    elif action == "suspend_account" and has("SuspendDeletes"):
        send(what, "DELETE", path("users", id_))
    elif action == "suspend_account" or not has("UnsuspendIsIgnored"):
        if action == "suspend_account" and has("SuspendingTwiceFails") and not by_id(id_).get("active", True):
            raise refuse(f"{what}: it is suspended already")
        if action == "suspend_account" and has("SuspendTakesTeams"):
            send(what, "PATCH", path("users", id_), {"teams": [], "display_name": None})
        send(what, "POST", path("users", id_, action.split("_")[0]))
    return {}


def execute(action, task):
    if has("PrintsInActions"):
        print(action, label(task["account"]))
    if has("SleepsInActions"):
        time.sleep(8)
    try:
        if action == "create_account":
            return create(task)
        return update(task) if action == "update_account" else change(action, task)
    except Exception:
        if has("ExceptionIsDone") and action != "create_account":
            return {}
        raise
    finally:
        if has("CacheOfOwnWrites"):
            found_before.clear()


# --- the protocol with bridgehead

METHODS = {"initialize": initialize, "check": check, "list": list_records, "find_account": find_account,
           "shutdown": lambda params: {}}


def answer(method, params):
    try:
        return {"result": execute(method, params) if method in ACTIONS else METHODS[method](params)}
    except Failure as failure:
        if has("EndsAtAFailure"):
            sys.exit(1)
        return {"error": worded(failure.error)}
    except Exception as error:  # a bug in this program: the effect is unknown; the traceback goes to the daemon's log
        traceback.print_exc()
        effect = "not_applied" if has("ExceptionIsNotApplied") else "unknown"
        return {"error": Failure("INTERNAL_ERROR", f"connector.py failed: {type(error).__name__}", effect=effect).error}


def worded(error):
    """An error as it is sent in a response."""
    if has("ErrorWithoutData"):
        return {"code": -32000, "message": error["message"]}
    if has("CodeInTheWrongPlace"):
        return {"code": error["data"]["code"], "message": error["message"]}
    if has("UnknownCode"):
        error["data"]["code"] = error["data"]["code"].replace("ACCOUNT_", "USER_")
    return error


def write(reply):
    if has("AnswersInLatin1"):
        sys.stdout.buffer.write(json.dumps(reply, ensure_ascii=False).encode("latin-1", "replace") + b"\n")
        sys.stdout.flush()
        return
    print(json.dumps(reply, indent=1 if has("PrettyPrinted") else None), flush=not has("AnswersStayInTheBuffer"))


def serve(line):
    request = json.loads(line)
    said_by = answer(request["method"], request["params"])
    if has("ErrorInResult") and "error" in said_by:
        said_by = {"result": {"success": False, **said_by}}
    if has("NullErrorBesideTheResult"):
        said_by = {"result": None, "error": None, **said_by}
    reply = {"jsonrpc": "2.0", "id": request["id"], **said_by}
    if has("IdAsText"):
        reply["id"] = str(request["id"])
    if has("IdOfTheRequestBefore"):
        reply["id"] = previous["id"]
    if has("WithoutVersion"):
        del reply["jsonrpc"]
    previous["id"] = request["id"]
    write(reply)
    if has("AnswersTwice"):
        write(reply)
    return request["method"]


for line in sys.stdin.buffer:
    lines = line.decode().splitlines() if has("LinesBySplitlines") else [line]
    for line in lines:
        if serve(line) == "shutdown" and not has("IgnoresShutdown"):
            sys.exit()
