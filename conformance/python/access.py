"""Who may do what, as users of the Python client arrange it, with an unmodified release of it.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. Prints one line
`ok <step>` a step; ends with a traceback at the first step that fails.
"""

import base64
import json
import os
import random
import string

# Releases up to 7 call a function that Python 3.9 removed. This is the whole of the help they get.
if not hasattr(base64, "encodestring"):
    base64.encodestring = base64.encodebytes

import requests  # noqa: E402
import taskcluster  # noqa: E402
import taskcluster.client  # noqa: E402
from taskcluster.exceptions import TaskclusterFailure  # noqa: E402

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ROOT = {
    "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
    "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
}
TESTER = {"clientId": "tester", "accessToken": "no-secret"}
PLACE = "conformance/" + "".join(random.choice(string.ascii_lowercase) for _ in range(12))


# Names of the methods that were called, by whichever client.
CALLED = set()


class Recorded(object):
    """A client that remembers which of its methods were called."""

    def __init__(self, recorded):
        self._recorded = recorded

    def __getattr__(self, name):
        found = getattr(self._recorded, name)
        if name not in self._recorded.funcinfo:
            return found

        def call(*args, **more):
            CALLED.add(name)
            return found(*args, **more)

        return call


def auth(credentials=None, **more):
    """A client. No retries: a server fault must show, not be mended by the second try."""
    chosen = dict({"rootUrl": ROOT_URL, "maxRetries": 0}, **more)
    if credentials:
        # The client may change what it is given.
        chosen["credentials"] = dict(credentials)
    return Recorded(taskcluster.Auth(chosen))


def has(service, method):
    return method in service.funcinfo


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def refused(status, code, call, *args, **more):
    try:
        call(*args, **more)
    except TaskclusterFailure as error:
        equal((error.status_code, error.body["code"]), (status, code))
        return
    raise AssertionError("%s was allowed" % call)


def definition(scopes, expires="1 hour"):
    return {
        "expires": taskcluster.fromNowJSON(expires),
        "description": "made by a conformance test",
        "scopes": scopes,
    }


def credentials(made):
    return {"clientId": made["clientId"], "accessToken": made["accessToken"]}


def temporary(issuer, scopes, name=None, start="-1 minute", end="1 hour"):
    """Credentials that the client makes by itself, without asking the server."""
    more = {"name": name} if name else {}
    made = taskcluster.client.createTemporaryCredentials(
        issuer["clientId"],
        issuer["accessToken"],
        taskcluster.fromNow(start),
        taskcluster.fromNow(end),
        scopes,
        **more
    )
    return {key: it.decode() if isinstance(it, bytes) else it for key, it in made.items()}


def clients(root):
    name = PLACE + "/one@two"
    wanted = definition(["b:1", "auth:current-scopes", "a:*"])
    made = root.createClient(name, wanted)
    equal(made["scopes"], ["a:*", "auth:current-scopes", "b:1"])
    equal(root.createClient(name, wanted)["accessToken"], made["accessToken"])
    refused(409, "RequestConflict", root.createClient, name, dict(wanted, description="other"))
    ok("create a client, and find it by creating it again")

    own = auth(credentials(made))
    scopes = own.currentScopes()["scopes"]
    assert "a:*" in scopes and "b:1" in scopes, scopes
    refused(403, "InsufficientScopes", own.createClient, PLACE + "/x", definition([]))
    ok("the client knows its scopes, and makes no other (403)")

    changed = root.updateClient(name, definition(["auth:current-scopes", "c"]))
    equal(changed["scopes"], ["auth:current-scopes", "c"])
    reset = root.resetAccessToken(name)
    refused(401, "AuthenticationFailed", own.currentScopes)
    own = auth(credentials(reset))
    own.currentScopes()
    root.disableClient(name)
    refused(401, "AuthenticationFailed", own.currentScopes)
    root.enableClient(name)
    own.currentScopes()
    ok("update, reset the token, disable, enable")

    for number in range(5):
        root.createClient("%s/%s" % (PLACE, number), definition([]))
    seen = []
    root.listClients(
        query={"prefix": PLACE, "limit": 2},
        paginationHandler=lambda page: seen.extend(it["clientId"] for it in page["clients"]),
    )
    equal(seen, ["%s/%s" % (PLACE, number) for number in range(5)] + [name])
    ok("list clients by pages")

    root.deleteClient(name)
    root.deleteClient(name)
    refused(404, "ResourceNotFound", root.client, name)
    refused(401, "AuthenticationFailed", own.currentScopes)
    refused(400, "InputError", root.createClient, "static/x", definition([]))
    refused(400, "InputError", root.createClient, PLACE + "/x", definition(["a**"]))
    expired = root.createClient(PLACE + "/old", definition(["auth:current-scopes"], "-1 hour"))
    refused(401, "AuthenticationFailed", auth(credentials(expired)).currentScopes)
    ok("delete; unknown (404), static (400) and expired (401) clients")


def roles(root):
    name = PLACE + "/role*"
    wanted = {"description": "made by a conformance test", "scopes": ["z:<..>", "b"]}
    made = root.createRole(name, wanted)
    equal(made["scopes"], ["b", "z:<..>"])
    equal(root.createRole(name, wanted)["created"], made["created"])
    refused(409, "RequestConflict", root.createRole, name, dict(wanted, scopes=[]))
    held = {"scopes": ["assume:%s/role:x" % PLACE]}
    equal(root.expandScopes(held)["scopes"], sorted(held["scopes"] + ["b", "z::x"]))
    if has(root, "expandScopesGet"):
        equal(root.expandScopesGet(held), root.expandScopes(held))
        ok("expand scopes by a GET with a body")
    loop = dict(wanted, scopes=["assume:%s/role/y" % PLACE])
    refused(400, "InputError", root.updateRole, name, loop)
    root.updateRole(name, dict(wanted, scopes=["c"]))
    equal(root.role(name)["scopes"], ["c"])
    assert name in [it["roleId"] for it in root.listRoles()]
    if has(root, "listRoleIds"):
        assert name in root.listRoleIds()["roleIds"]
        assert name in [it["roleId"] for it in root.listRoles2()["roles"]]
    root.deleteRole(name)
    refused(404, "ResourceNotFound", root.role, name)
    ok("roles: create, expand, refuse a circle (400), update, list, delete")


def issued(root):
    made = root.createClient(
        PLACE + "/issuer",
        definition(["a:*", "auth:current-scopes", "auth:create-client:%s/named" % PLACE]),
    )
    issuer = credentials(made)
    scopes = ["a:1", "auth:current-scopes"]
    found = auth(temporary(issuer, scopes)).currentScopes()["scopes"]
    assert "a:1" in found and "a:*" not in found, found
    auth(temporary(issuer, scopes, PLACE + "/named")).currentScopes()
    refused(401, "AuthenticationFailed", auth(temporary(issuer, scopes, "other")).currentScopes)
    refused(401, "AuthenticationFailed", auth(temporary(issuer, ["b"])).currentScopes)
    late = temporary(issuer, scopes, None, "-2 hours", "-1 hour")
    refused(401, "AuthenticationFailed", auth(late).currentScopes)
    ok("temporary credentials: unnamed, named, too wide (401), too late (401)")

    narrow = auth(issuer, authorizedScopes=["a:1", "auth:current-scopes"])
    assert "a:*" not in narrow.currentScopes()["scopes"]
    wide = auth(issuer, authorizedScopes=["b"])
    refused(401, "AuthenticationFailed", wide.currentScopes)
    ok("authorized scopes narrow, and never widen (401)")

    url = auth(issuer).buildSignedUrl("currentScopes")
    equal(requests.get(url).status_code, 200)
    equal(requests.get(url + "&limit=1").status_code, 401)
    ok("a signed URL opens, and is bound to its query")


# Who signs, with what the tester has and what the call requires, and how it must end. `None` is
# success; then the scopes that are told, if they are given. The tester is a client that there is
# only during such a call.
def scenarios():
    expired = ("-2 hours", "-1 hour")
    future = ("1 hour", "2 hours")
    issue = ["s:*", "auth:create-client:my-name"]

    def given(scopes, name=None, times=("-1 minute", "1 hour"), **changed):
        made = temporary(TESTER, scopes, name, *times)
        return dict(made, **changed)

    failed, lacking = (401, "AuthenticationFailed"), (403, "InsufficientScopes")
    good = given(["s:1"])
    certificate = json.loads(good["certificate"])
    forged = json.dumps(dict(certificate, signature="A" * 43 + "="))
    widened = json.dumps(dict(certificate, scopes=["s:1", "s:2"]))
    longer = json.dumps(dict(certificate, expiry=certificate["expiry"] + 60000))
    return [
        ("permanent", TESTER, None, ["s:*"], ["s:1"], None, ["assume:anonymous", "s:*"]),
        ("a star for all", TESTER, None, ["*"], ["s:1", "t"], None, ["*"]),
        ("nothing required", TESTER, None, ["s"], [], None, ["assume:anonymous", "s"]),
        ("scopes lacking", TESTER, None, ["s"], ["t"], lacking, None),
        ("one of two lacking", TESTER, None, ["s"], ["s", "t"], lacking, None),
        ("wrong token", dict(TESTER, accessToken="wrong"), None, ["*"], [], failed, None),
        ("wrong clientId", dict(TESTER, clientId="somebody"), None, ["*"], [], failed, None),
        ("authorized", TESTER, ["s:1"], ["s:*"], ["s:1"], None, ["assume:anonymous", "s:1"]),
        ("authorized too little", TESTER, ["s:1"], ["s:*"], ["s:2"], lacking, None),
        ("authorized too much", TESTER, ["t"], ["s:*"], [], failed, None),
        ("authorized nothing", TESTER, [], ["s:*"], ["s:1"], lacking, None),
        ("unnamed", good, None, ["s:*"], ["s:1"], None, ["assume:anonymous", "s:1"]),
        ("unnamed, scopes lacking", good, None, ["s:*"], ["s:2"], lacking, None),
        ("unnamed, too wide", given(["t"]), None, ["s:*"], [], failed, None),
        ("unnamed, expired", given(["s:1"], None, expired), None, ["s:*"], [], failed, None),
        ("unnamed, in future", given(["s:1"], None, future), None, ["s:*"], [], failed, None),
        ("unnamed, authorized", given(["s:*"]), ["s:1"], ["s:*"], ["s:1"], None,
         ["assume:anonymous", "s:1"]),
        ("unnamed, authorized too much", good, ["s:2"], ["s:*"], [], failed, None),
        ("unnamed, wrong token", dict(good, accessToken="wrong"), None, ["s:*"], [], failed, None),
        ("forged", dict(good, certificate=forged), None, ["s:*"], [], failed, None),
        ("widened", dict(good, certificate=widened), None, ["s:*"], [], failed, None),
        ("prolonged", dict(good, certificate=longer), None, ["s:*"], [], failed, None),
        ("named", given(["s:1"], "my-name"), None, issue, ["s:1"], None,
         ["assume:anonymous", "s:1"]),
        ("named, not allowed to", given(["s:1"], "my-name"), None, ["s:*"], [], failed, None),
        ("named, another name", given(["s:1"], "your-name"), None, issue, [], failed, None),
        ("named, too wide", given(["t"], "my-name"), None, issue, [], failed, None),
        ("named, expired", given(["s:1"], "my-name", expired), None, issue, [], failed, None),
        ("named, under a name not signed", given(["s:1"], "my-name", clientId="your-name"), None,
         issue, [], failed, None),
        ("named, authorized", given(["s:*"], "my-name"), ["s:1"], issue, ["s:1"], None,
         ["assume:anonymous", "s:1"]),
        ("nobody", None, None, ["s"], ["s"], lacking, None),
        ("nobody, nothing required", None, None, ["s"], [], None, ["assume:anonymous"]),
    ]


def testing():
    for name, who, authorized, has_scopes, required, refusal, told in scenarios():
        more = {} if authorized is None else {"authorizedScopes": authorized}
        request = {"clientScopes": has_scopes, "requiredScopes": required}
        client = auth(who, **more)
        try:
            if refusal:
                refused(refusal[0], refusal[1], client.testAuthenticate, request)
                continue
            answer = client.testAuthenticate(request)
            expected = who["clientId"] if who else "auth-failed:no-auth"
            equal((answer["clientId"], answer["scopes"]), (expected, told))
        except Exception:
            print("scenario: " + name, flush=True)
            raise
    ok("%d ways to call testAuthenticate" % len(scenarios()))

    equal(auth(TESTER).testAuthenticateGet()["clientId"], "tester")
    name = "test:named"
    cases = [
        (TESTER, {}, 200),
        (dict(TESTER, accessToken="wrong"), {}, 401),
        (dict(TESTER, clientId="somebody"), {}, 401),
        (TESTER, {"authorizedScopes": ["test:authenticate-get"]}, 200),
        (TESTER, {"authorizedScopes": ["test:other"]}, 403),
        (TESTER, {"authorizedScopes": ["other"]}, 401),
        (temporary(TESTER, ["test:*"]), {}, 200),
        (temporary(TESTER, ["test:other"]), {}, 403),
        (temporary(TESTER, ["test:*"], name), {}, 200),
        (temporary(TESTER, ["test:*"], "other"), {}, 401),
        (temporary(TESTER, ["test:*"], None, "-2 hours", "-1 hour"), {}, 401),
    ]
    for who, more, status in cases:
        client = auth(who, **more)
        url = client.buildSignedUrl("testAuthenticateGet")
        equal((requests.get(url).status_code, who, more), (status, who, more))
        try:
            client.testAuthenticateGet()
            found = 200
        except TaskclusterFailure as error:
            found = error.status_code
        equal((found, who, more), (status, who, more))
    late = auth(TESTER, signedUrlExpiration=-60).buildSignedUrl("testAuthenticateGet")
    equal(requests.get(late).status_code, 401)
    ok("testAuthenticateGet by header and by signed URL, accepted and refused")


def anonymous(root):
    nobody = auth()
    nobody.listRoles()
    refused(403, "InsufficientScopes", nobody.createClient, PLACE + "/x", definition([]))
    ok("anonymous callers read what is public, and change nothing (403)")


# How a call of each method ends whose service is not configured, or that no step before has called.
def every_method(root):
    missing = (404, "ResourceNotFound")
    request = {"method": "get", "resource": "/x", "host": "example.com", "port": 443}
    repo = {"permissions": {"contents": "read"}, "repositories": ["repo"]}
    table = {
        "ping": ((), None),
        "lbheartbeat": ((), None),
        "heartbeat": ((), None),
        "version": ((), None),
        "authenticateHawk": ((request,), None),
        "getEntityHistory": (("client", PLACE + "/issuer"), None),
        "listAuditHistory": ((ROOT["clientId"],), None),
        "awsS3Credentials": (("read-only", "bucket", "a/b"), missing),
        "azureAccounts": ((), None),
        "azureTables": (("account",), missing),
        "azureTableSAS": (("account", "table", "read-only"), missing),
        "azureContainers": (("account",), missing),
        "azureContainerSAS": (("account", "container", "read-write"), missing),
        "sentryDSN": (("project",), missing),
        "statsumToken": (("project",), missing),
        "webhooktunnelToken": ((), missing),
        "websocktunnelToken": (("audience", "client"), missing),
        "gcpCredentials": (("-", "a@b.example.com"), (400, "InvalidRequestArguments")),
        "githubRepoToken": (("app", "owner", repo), missing),
    }
    for method, (args, refusal) in sorted(table.items()):
        if not has(root, method):
            continue
        if refusal:
            refused(refusal[0], refusal[1], getattr(root, method), *args)
        else:
            getattr(root, method)(*args)
    uncalled = sorted(set(root.funcinfo) - CALLED)
    equal(uncalled, [])
    ok("each of the %d methods that this client has was called" % len(root.funcinfo))


def main():
    root = auth(ROOT)
    equal(root.ping()["alive"], True)
    clients(root)
    roles(root)
    issued(root)
    testing()
    anonymous(root)
    every_method(root)
    print("done", flush=True)


if __name__ == "__main__":
    main()
