"""Who may do what, as users of the Python client arrange it, with an unmodified release of it.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. Prints one line
`ok <step>` a step; ends with a traceback at the first step that fails.
"""

import base64
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


def auth(credentials=None, **more):
    """A client. No retries: a server fault must show, not be mended by the second try."""
    chosen = dict({"rootUrl": ROOT_URL, "maxRetries": 0}, **more)
    if credentials:
        chosen["credentials"] = credentials
    return taskcluster.Auth(chosen)


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


def testing():
    equal(
        auth(TESTER).testAuthenticate({"clientScopes": ["s:*"], "requiredScopes": ["s:1"]}),
        {"clientId": "tester", "scopes": ["assume:anonymous", "s:*"]},
    )
    lacking = {"clientScopes": ["s"], "requiredScopes": ["t"]}
    refused(403, "InsufficientScopes", auth(TESTER).testAuthenticate, lacking)
    wrong = dict(TESTER, accessToken="wrong")
    refused(401, "AuthenticationFailed", auth(wrong).testAuthenticate, lacking)
    named = temporary(TESTER, ["s:1"], "my-name")
    equal(
        auth(named).testAuthenticate(
            {"clientScopes": ["s:*", "auth:create-client:my-name"], "requiredScopes": ["s:1"]}
        )["clientId"],
        "my-name",
    )
    equal(auth(TESTER).testAuthenticateGet()["clientId"], "tester")
    url = auth(TESTER).buildSignedUrl("testAuthenticateGet")
    equal(requests.get(url).json()["clientId"], "tester")
    ok("testAuthenticate and testAuthenticateGet")


def anonymous(root):
    nobody = auth()
    nobody.listRoles()
    refused(403, "InsufficientScopes", nobody.createClient, PLACE + "/x", definition([]))
    unconfigured = [("awsS3Credentials", ("read-only", "bucket", "a/b")), ("sentryDSN", ("p",))]
    for method, args in unconfigured + [("statsumToken", ("p",)), ("webhooktunnelToken", ())]:
        if has(root, method):
            refused(404, "ResourceNotFound", getattr(root, method), *args)
    if has(root, "azureAccounts"):
        equal(root.azureAccounts(), {"accounts": []})
    ok("anonymous callers read what is public; services that are not configured (404)")


def main():
    root = auth(ROOT)
    equal(root.ping()["alive"], True)
    clients(root)
    roles(root)
    issued(root)
    testing()
    anonymous(root)
    print("done", flush=True)


if __name__ == "__main__":
    main()
