"""Every method of the hooks, the index, the notify, the secrets and the purge-cache service that a
release of the Python client knows, called with success, and what they do for each other and for
tasks.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. The clients' own
tables say which methods there are; one that has no call here fails the run. Prints one line
`ok <service> <method>` a method; ends with a traceback at the first that fails.
"""

import base64
import os

# Releases up to 7 call a function that Python 3.9 removed. This is the whole of the help they get.
if not hasattr(base64, "encodestring"):
    base64.encodestring = base64.encodebytes

import requests  # noqa: E402
import taskcluster  # noqa: E402
from taskcluster.client import createApiClient  # noqa: E402
from taskcluster.exceptions import TaskclusterFailure  # noqa: E402

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ROOT = {
    "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
    "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
}


def client(service, credentials=ROOT):
    """No retries: a server fault must show, not be mended by the second try."""
    return service({"rootUrl": ROOT_URL, "maxRetries": 0, "credentials": credentials})


QUEUE = client(taskcluster.Queue)
AUTH = client(taskcluster.Auth)
HOOKS = client(taskcluster.Hooks)
INDEX = client(taskcluster.Index)
NOTIFY = client(taskcluster.Notify)
SECRETS = client(taskcluster.Secrets)
PURGE_CACHE = client(taskcluster.PurgeCache)
# Since release 41 of the services a pool is named by one argument instead of two.
ONE_POOL_NAME = PURGE_CACHE.funcinfo["purgeCache"]["args"] == ["workerPoolId"]
POOL = ("services/worker",) if ONE_POOL_NAME else ("services", "worker")


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def slug():
    """A new id. Old releases of the slugid package return bytes."""
    made = taskcluster.slugId()
    return made.decode() if isinstance(made, bytes) else made


def soon(text="1 hour"):
    return taskcluster.fromNowJSON(text)


def refused(status, call, *args):
    try:
        call(*args)
    except TaskclusterFailure as failure:
        equal(failure.status_code, status)
        return failure
    raise AssertionError("it was not refused")


def run_task(routes, **more):
    """A task that has completed, with a public and a private artifact."""
    made = slug()
    definition = {
        "provisionerId": "services",
        "workerType": "worker",
        "created": soon("0 seconds"),
        "deadline": soon("2 hours"),
        "payload": {},
        "routes": routes,
        "metadata": {
            "name": "indexed",
            "description": "a task that is found",
            "owner": "someone@example.com",
            "source": "https://example.com/source",
        },
    }
    definition.update(more)
    QUEUE.createTask(made, definition)
    claim = QUEUE.claimTask(made, 0, {"workerGroup": "group", "workerId": "worker"})
    worker = client(taskcluster.Queue, claim["credentials"])
    for name in ["public/build.json", "private/build.json"]:
        reference = {
            "storageType": "reference",
            "contentType": "application/json",
            "url": ROOT_URL + "/api/queue/v1/ping",
            "expires": soon(),
        }
        worker.createArtifact(made, 0, name, reference)
    worker.reportCompleted(made, 0)
    return made


GROUP = "services"
# What a hook has that says nothing of it.
NO_PAYLOAD = {"type": "object", "additionalProperties": False}


def hook_definition(**more):
    """A hook that is told by its triggers what to say, and makes no task of silence."""
    definition = {
        "metadata": {
            "name": "a hook",
            "description": "makes tasks",
            "owner": "someone@example.com",
            "emailOnError": False,
        },
        "bindings": [],
        "schedule": [],
        "task": {
            "$if": "payload.say != 'nothing'",
            "then": {
                "provisionerId": "services",
                "workerType": "hooked",
                "created": {"$fromNow": "0 seconds"},
                "deadline": {"$fromNow": "1 hour"},
                "payload": {"said": "${payload.say}", "by": {"$eval": "firedBy"}},
                "metadata": {
                    "name": "hooked",
                    "description": "a task that a hook has made",
                    "owner": "someone@example.com",
                    "source": "https://example.com/source",
                },
            },
        },
        "triggerSchema": {
            "type": "object",
            "properties": {"say": {"type": "string"}},
            "required": ["say"],
            "additionalProperties": False,
        },
    }
    definition.update(more)
    return definition


def make_hook(hook_id, **more):
    definition = hook_definition(**more)
    told = HOOKS.createHook(GROUP, hook_id, definition)
    equal(told, dict(definition, hookGroupId=GROUP, hookId=hook_id))
    return told


def allow(hook_id):
    """Lets a hook create its tasks."""
    scopes = [
        "queue:create-task:lowest:services/hooked",
        "queue:create-task:project:none",
        "queue:scheduler-id:-",
    ]
    role = {"description": "what a hook may do", "scopes": scopes}
    AUTH.createRole("hook-id:%s/%s" % (GROUP, hook_id), role)


def check_task(triggered, by, said):
    """The answer of a trigger names a task that is there. Old releases look for its status."""
    task_id = triggered["status"]["taskId"]
    equal(triggered["taskId"], task_id)
    task = QUEUE.task(task_id)
    equal(task["payload"], {"said": said, "by": by})
    equal(task["taskGroupId"], task_id)
    return task_id


def hooks_create_hook():
    made = make_hook("create/one")
    definition = hook_definition()
    equal(HOOKS.createHook(GROUP, "create/one", definition), made)
    equal(HOOKS.createHook(GROUP, "create/one", made), made)
    changed = hook_definition(schedule=["0 0 3 * * *"])
    refused(409, HOOKS.createHook, GROUP, "create/one", changed)
    refused(400, HOOKS.createHook, GROUP, "create/two", made)
    sometimes = hook_definition(schedule=["sometimes"])
    refused(400, HOOKS.createHook, GROUP, "create/two", sometimes)
    metadata = {"name": "least", "description": "", "owner": "someone@example.com"}
    least = {"metadata": metadata, "task": {}}
    for _ in range(2):
        told = HOOKS.createHook(GROUP, "create/least", least)
        equal((told["bindings"], told["schedule"]), ([], []))
        equal(told["triggerSchema"], NO_PAYLOAD)
        equal(told["metadata"]["emailOnError"], True)


def hooks_update_hook():
    bindings = [
        {"exchange": "exchange/taskcluster-queue/v1/task-failed", "routingKeyPattern": "primary.#"}
    ]
    make_hook("update", bindings=bindings, schedule=["0 0 3 * * *"])
    definition = hook_definition()
    definition["metadata"]["description"] = "makes other tasks"
    del definition["bindings"], definition["schedule"], definition["triggerSchema"]
    told = HOOKS.updateHook(GROUP, "update", definition)
    expected = dict(
        definition,
        hookGroupId=GROUP,
        hookId="update",
        bindings=bindings,
        schedule=[],
        triggerSchema=NO_PAYLOAD,
    )
    equal(told, expected)
    equal(HOOKS.hook(GROUP, "update"), expected)
    refused(404, HOOKS.updateHook, GROUP, "update/none", definition)


def hooks_hook():
    made = make_hook("hook/one", schedule=["0 0 3 * * *", "@weekly"])
    equal(HOOKS.hook(GROUP, "hook/one"), made)
    refused(404, HOOKS.hook, GROUP, "hook/none")


def hooks_list_hook_groups():
    make_hook("groups")
    HOOKS.createHook("another-group", "hook", hook_definition())
    groups = HOOKS.listHookGroups()["groups"]
    assert {GROUP, "another-group"} <= set(groups), groups
    equal(groups, sorted(set(groups)))


def hooks_list_hooks():
    for hook_id in ["b/x", "a", "b"]:
        HOOKS.createHook("listed", hook_id, hook_definition())
    found = HOOKS.listHooks("listed")["hooks"]
    equal([hook["hookId"] for hook in found], ["a", "b", "b/x"])
    equal(found[0], dict(hook_definition(), hookGroupId="listed", hookId="a"))
    refused(404, HOOKS.listHooks, "nobody")


def hooks_get_hook_status():
    make_hook("status")
    equal(HOOKS.getHookStatus(GROUP, "status"), {"lastFire": {"result": "no-fire"}})
    refused(403, HOOKS.triggerHook, GROUP, "status", {"say": "hello"})
    last = HOOKS.getHookStatus(GROUP, "status")["lastFire"]
    equal(last["result"], "error")
    equal(type(last["error"]), dict)
    allow("status")
    task_id = check_task(
        HOOKS.triggerHook(GROUP, "status", {"say": "hello"}), "triggerHook", "hello"
    )
    last = HOOKS.getHookStatus(GROUP, "status")["lastFire"]
    equal((last["result"], last["taskId"]), ("success", task_id))
    make_hook("status/scheduled", schedule=["@yearly"])
    status = HOOKS.getHookStatus(GROUP, "status/scheduled")
    equal(status["lastFire"], {"result": "no-fire"})
    assert soon("0 seconds") < status["nextScheduledDate"], status
    assert status["nextScheduledDate"].endswith("-01-01T00:00:00.000Z"), status
    refused(404, HOOKS.getHookStatus, GROUP, "status/none")


def hooks_trigger_hook():
    make_hook("trigger/one")
    allow("trigger/one")
    triggered = HOOKS.triggerHook(GROUP, "trigger/one", {"say": "hello"})
    check_task(triggered, "triggerHook", "hello")
    equal(HOOKS.triggerHook(GROUP, "trigger/one", {"say": "nothing"}), {})
    refused(400, HOOKS.triggerHook, GROUP, "trigger/one", {"say": 1})
    refused(400, HOOKS.triggerHook, GROUP, "trigger/one", {})
    refused(404, HOOKS.triggerHook, GROUP, "trigger/none", {"say": "hello"})
    make_hook("trigger/not-allowed")
    refusal = refused(403, HOOKS.triggerHook, GROUP, "trigger/not-allowed", {"say": "hello"})
    equal(refusal.body["code"], "InsufficientScopes")


def hooks_get_trigger_token():
    make_hook("token")
    token = HOOKS.getTriggerToken(GROUP, "token")["token"]
    equal(HOOKS.getTriggerToken(GROUP, "token")["token"], token)
    HOOKS.updateHook(GROUP, "token", hook_definition(schedule=["@daily"]))
    equal(HOOKS.getTriggerToken(GROUP, "token")["token"], token)
    refused(404, HOOKS.getTriggerToken, GROUP, "token/none")


def hooks_trigger_hook_with_token():
    make_hook("with/token")
    allow("with/token")
    token = HOOKS.getTriggerToken(GROUP, "with/token")["token"]
    trigger = HOOKS.triggerHookWithToken
    triggered = trigger(GROUP, "with/token", token, {"say": "hello"})
    check_task(triggered, "triggerHookWithToken", "hello")
    # What senders of webhooks do, who know nothing but an address.
    url = ROOT_URL + "/api/hooks/v1/hooks/services/with%2Ftoken/trigger/" + token
    answer = requests.post(url, json={"say": "bye"})
    equal(answer.status_code, 200)
    check_task(answer.json(), "triggerHookWithToken", "bye")
    equal(trigger(GROUP, "with/token", token, {"say": "nothing"}), {})
    refused(400, trigger, GROUP, "with/token", token, {"say": 1})
    refused(401, trigger, GROUP, "with/token", slug(), {"say": "hello"})
    refused(404, trigger, GROUP, "with/none", token, {"say": "hello"})


def hooks_reset_trigger_token():
    make_hook("reset")
    allow("reset")
    old = HOOKS.getTriggerToken(GROUP, "reset")["token"]
    new = HOOKS.resetTriggerToken(GROUP, "reset")["token"]
    assert new != old, new
    equal(HOOKS.getTriggerToken(GROUP, "reset")["token"], new)
    refused(401, HOOKS.triggerHookWithToken, GROUP, "reset", old, {"say": "hello"})
    triggered = HOOKS.triggerHookWithToken(GROUP, "reset", new, {"say": "hello"})
    check_task(triggered, "triggerHookWithToken", "hello")
    refused(404, HOOKS.resetTriggerToken, GROUP, "reset/none")


def hooks_list_last_fires():
    make_hook("fires")
    refused(404, HOOKS.listLastFires, GROUP, "fires")
    refused(403, HOOKS.triggerHook, GROUP, "fires", {"say": "hello"})
    allow("fires")
    task_id = HOOKS.triggerHook(GROUP, "fires", {"say": "hello"})["status"]["taskId"]
    token = HOOKS.getTriggerToken(GROUP, "fires")["token"]
    HOOKS.triggerHookWithToken(GROUP, "fires", token, {"say": "hello"})
    HOOKS.triggerHook(GROUP, "fires", {"say": "nothing"})
    fires = HOOKS.listLastFires(GROUP, "fires")["lastFires"]
    by_token, by_call, failed = fires
    equal((by_token["firedBy"], by_token["result"]), ("triggerHookWithToken", "success"))
    expected = {
        "hookGroupId": GROUP,
        "hookId": "fires",
        "firedBy": "triggerHook",
        "taskId": task_id,
        "taskCreateTime": by_call["taskCreateTime"],
        "result": "success",
        "taskState": "pending",
        "error": "",
    }
    equal(by_call, expected)
    equal((failed["result"], failed["taskState"]), ("error", "unknown"))
    assert "InsufficientScopes" in failed["error"], failed
    # Since release 46 of the services they come in pages.
    if HOOKS.funcinfo["listLastFires"].get("query"):
        pages = []
        HOOKS.listLastFires(
            GROUP,
            "fires",
            query={"limit": 2},
            paginationHandler=lambda page: pages.append(page["lastFires"]),
        )
        equal(pages, [fires[:2], fires[2:]])


def hooks_remove_hook():
    make_hook("remove/me")
    for _ in range(2):
        HOOKS.removeHook(GROUP, "remove/me")
    refused(404, HOOKS.hook, GROUP, "remove/me")
    ids = [hook["hookId"] for hook in HOOKS.listHooks(GROUP)["hooks"]]
    assert "remove/me" not in ids, ids


def entry(task_id, rank=0):
    return {"taskId": task_id, "rank": rank, "data": {"a": [1]}, "expires": soon("1 day")}


def index_insert_task():
    first, second = slug(), slug()
    told = INDEX.insertTask("insert.one", entry(first, 5))
    equal((told["namespace"], told["taskId"], told["rank"]), ("insert.one", first, 5))
    equal(INDEX.insertTask("insert.one", entry(second, 4))["taskId"], first)
    equal(INDEX.insertTask("insert.one", entry(second, 5))["taskId"], second)


def index_find_task():
    made = run_task(
        ["index.find.latest", "index.find.by.revision"],
        extra={"index": {"rank": 7, "data": {"revision": "abc"}}},
    )
    for path in ["find.latest", "find.by.revision"]:
        found = INDEX.findTask(path)
        equal((found["taskId"], found["rank"]), (made, 7))
        equal(found["data"], {"revision": "abc"})
    refused(404, INDEX.findTask, "find.nothing")


def index_find_tasks_at_index():
    made = slug()
    INDEX.insertTask("many.one", entry(made))
    wanted = {"indexes": ["many.none", "many.one"]}
    found = INDEX.findTasksAtIndex(payload=wanted)["tasks"]
    equal([(it["namespace"], it["taskId"]) for it in found], [("many.one", made)])


def index_list_namespaces():
    for path in ["tree.b.x", "tree.a.x", "tree.leaf"]:
        INDEX.insertTask(path, entry(slug()))
    found = INDEX.listNamespaces("tree")["namespaces"]
    equal([(it["namespace"], it["name"]) for it in found], [("tree.a", "a"), ("tree.b", "b")])
    assert "tree" in [it["name"] for it in INDEX.listNamespaces("")["namespaces"]]


def index_list_tasks():
    for name in "cab":
        INDEX.insertTask("leaves." + name, entry(slug()))
    pages = []
    INDEX.listTasks(
        "leaves",
        query={"limit": 2},
        paginationHandler=lambda page: pages.append([it["namespace"] for it in page["tasks"]]),
    )
    equal(pages, [["leaves.a", "leaves.b"], ["leaves.c"]])


def index_delete_task():
    INDEX.insertTask("delete.me", entry(slug()))
    for _ in range(2):
        INDEX.deleteTask("delete.me")
    refused(404, INDEX.findTask, "delete.me")


def index_find_artifact_from_task():
    run_task(["index.artifact.latest"])
    args = ("findArtifactFromTask", "artifact.latest")
    public = requests.get(INDEX.buildUrl(*args, "public/build.json"))
    equal((public.status_code, public.json()["alive"]), (200, True))
    equal(requests.get(INDEX.buildUrl(*args, "private/build.json")).status_code, 403)
    private = requests.get(INDEX.buildSignedUrl(*args, "private/build.json"))
    equal((private.status_code, private.json()["alive"]), (200, True))


ADDRESS = "someone@example.com"
# No release of the clients knows the outbox, but all of them make a client of a description.
OUTBOX_REFERENCE = {
    "serviceName": "notify",
    "apiVersion": "v1",
    "entries": [
        {
            "type": "function",
            "name": "outbox",
            "method": "get",
            "route": "/outbox",
            "args": [],
            "query": ["continuationToken", "limit"],
            "stability": "experimental",
        }
    ],
}
OUTBOX = client(createApiClient("Outbox", {"reference": OUTBOX_REFERENCE}))


def newest():
    """What was accepted last."""
    return OUTBOX.outbox(query={"limit": 1})["notifications"][0]


def check_notified(call, body, kind, address, state):
    """It is accepted once, and said to be fine when it is said again."""
    answer = call(body)["response"]
    equal((answer.status_code, answer.text), (200, "OK"))
    noted = newest()
    equal((noted["kind"], noted["address"], noted["state"]), (kind, address, state))
    equal({key: noted["body"][key] for key in body}, body)
    equal(noted["error"], "")
    equal(call(body), None)
    equal(newest(), noted)


def check_denied(call, body, kind, address):
    """What goes to an address is refused while that is on the denylist, which releases before 7
    do not know."""
    if "addDenylistAddress" not in NOTIFY.funcinfo:
        return
    denied = {"notificationType": kind, "notificationAddress": address}
    NOTIFY.addDenylistAddress(denied)
    refusal = refused(400, call, body)
    equal(refusal.body["code"], "DenylistedAddress")
    NOTIFY.deleteDenylistAddress(denied)
    equal(call(body)["response"].status_code, 200)


def denylist():
    found = NOTIFY.listDenylist()["addresses"]
    return [(it["notificationType"], it["notificationAddress"]) for it in found]


def mail(subject, **more):
    return dict({"address": ADDRESS, "subject": subject, "content": "# It is *done*"}, **more)


def notify_email():
    whole = mail(
        "whole",
        link={"text": "Look at it", "href": "https://example.com/build"},
        replyTo="other@example.com",
        template="fullscreen",
    )
    check_notified(NOTIFY.email, whole, "email", ADDRESS, "kept")
    check_notified(NOTIFY.email, mail("least"), "email", ADDRESS, "kept")
    check_denied(NOTIFY.email, mail("denied"), "email", ADDRESS)
    for wrong in [
        mail("s", address="nobody"),
        mail(""),
        mail("s" * 256),
        mail("s", content=""),
        mail("s", link={"href": "https://example.com"}),
        mail("s", template="loud"),
        mail("s", cc="other@example.com"),
    ]:
        refused(400, NOTIFY.email, wrong)
    stranger = taskcluster.Notify(
        {
            "rootUrl": ROOT_URL,
            "maxRetries": 0,
            "credentials": ROOT,
            "authorizedScopes": ["notify:email:other@example.com"],
        }
    )
    refusal = refused(403, stranger.email, mail("not allowed"))
    equal(refusal.body["code"], "InsufficientScopes")


def notify_pulse():
    body = {"routingKey": "some.key", "message": {"x": [1, 2.5, None]}}
    check_notified(NOTIFY.pulse, body, "pulse", "some.key", "sent")
    body = {"routingKey": "denied.key", "message": {}}
    check_denied(NOTIFY.pulse, body, "pulse", "denied.key")
    refused(400, NOTIFY.pulse, {"routingKey": "some.key", "message": "text"})
    refused(400, NOTIFY.pulse, {"routingKey": "k" * 256, "message": {}})


def notify_irc():
    body = {"channel": "#channel", "message": "hello"}
    check_notified(NOTIFY.irc, body, "irc-channel", "#channel", "sent")
    body = {"user": "someone", "message": "hello"}
    check_notified(NOTIFY.irc, body, "irc-user", "someone", "sent")
    body = {"channel": "#channel", "message": "denied"}
    check_denied(NOTIFY.irc, body, "irc-channel", "#channel")
    body = {"user": "someone", "message": "denied"}
    check_denied(NOTIFY.irc, body, "irc-user", "someone")
    refused(400, NOTIFY.irc, {"channel": "channel", "message": "no channel"})
    refused(400, NOTIFY.irc, {"channel": "#channel", "user": "someone", "message": "to both"})


def notify_matrix():
    room = "!room:example.com"
    body = {
        "roomId": room,
        "body": "hello",
        "format": "org.matrix.custom.html",
        "formattedBody": "<b>hello</b>",
        "msgtype": "m.text",
    }
    check_notified(NOTIFY.matrix, body, "matrix-room", room, "kept")
    body = {"roomId": room, "body": "denied"}
    check_denied(NOTIFY.matrix, body, "matrix-room", room)
    refused(400, NOTIFY.matrix, {"roomId": room, "body": "hello", "msgtype": "m.file"})


def notify_slack():
    body = {
        "channelId": "C0123",
        "text": "hello",
        "blocks": [{"type": "divider"}],
        "attachments": [{"text": "more"}],
        "unfurlLinks": True,
    }
    check_notified(NOTIFY.slack, body, "slack-channel", "C0123", "kept")
    check_denied(NOTIFY.slack, {"channelId": "C0123", "text": "denied"}, "slack-channel", "C0123")
    refused(400, NOTIFY.slack, {"channelId": "C0123"})


def notify_add_denylist_address():
    added = {"notificationType": "email", "notificationAddress": "added@example.com"}
    for _ in range(2):
        equal(NOTIFY.addDenylistAddress(added)["response"].text, "OK")
    equal(denylist(), [("email", "added@example.com")])
    refused(400, NOTIFY.addDenylistAddress, dict(added, notificationType="fax"))
    NOTIFY.deleteDenylistAddress(added)


def notify_delete_denylist_address():
    deleted = {"notificationType": "pulse", "notificationAddress": "deleted.key"}
    NOTIFY.addDenylistAddress(deleted)
    # Of another type it is another address.
    NOTIFY.deleteDenylistAddress(dict(deleted, notificationType="email"))
    equal(denylist(), [("pulse", "deleted.key")])
    for _ in range(2):
        equal(NOTIFY.deleteDenylistAddress(deleted)["response"].text, "OK")
    equal(denylist(), [])


def notify_list_denylist():
    # Of every type that some release has a word for.
    addresses = [
        {"notificationType": kind, "notificationAddress": address}
        for kind, address in [
            ("email", "a@example.com"),
            ("email", "b@example.com"),
            ("irc-channel", "#channel"),
            ("irc-user", "someone"),
            ("matrix-room", "!room:example.com"),
            ("pulse", "some.key"),
            ("slack-channel", "C0123"),
        ]
    ]
    for address in reversed(addresses):
        NOTIFY.addDenylistAddress(address)
    equal(NOTIFY.listDenylist(), {"addresses": addresses})
    pages = []
    NOTIFY.listDenylist(
        query={"limit": 3},
        paginationHandler=lambda page: pages.append(page["addresses"]),
    )
    equal(pages, [addresses[:3], addresses[3:6], addresses[6:]])
    for address in addresses:
        NOTIFY.deleteDenylistAddress(address)


NAME = "project/services:a key"
SECRET = {"token": "s3cr3t", "nested": {"list": [1, 2.5, None]}}


def secrets_set():
    SECRETS.set(NAME, {"secret": {"token": "old"}, "expires": soon()})
    SECRETS.set(NAME, {"secret": SECRET, "expires": soon()})
    equal(SECRETS.get(NAME)["secret"], SECRET)


def secrets_get():
    expires = soon()
    SECRETS.set(NAME, {"secret": SECRET, "expires": expires})
    equal(SECRETS.get(NAME)["secret"], SECRET)
    refused(404, SECRETS.get, "project/services:none")
    scopes = ["secrets:get:project/other:*"]
    stranger = taskcluster.Secrets(
        {
            "rootUrl": ROOT_URL,
            "maxRetries": 0,
            "credentials": ROOT,
            "authorizedScopes": scopes,
        }
    )
    refusal = refused(403, stranger.set, NAME, {"secret": SECRET, "expires": expires})
    equal(refusal.body["requestInfo"]["payload"]["secret"], "(OMITTED)")


def secrets_list():
    for name in ["list/b", "list/a"]:
        SECRETS.set(name, {"secret": {}, "expires": soon()})
    names = [name for name in SECRETS.list()["secrets"] if name.startswith("list/")]
    equal(names, ["list/a", "list/b"])


def secrets_remove():
    SECRETS.set("remove/me", {"secret": {}, "expires": soon()})
    for _ in range(2):
        SECRETS.remove("remove/me")
    refused(404, SECRETS.get, "remove/me")


def purge_cache_purge_cache():
    PURGE_CACHE.purgeCache(*POOL, payload={"cacheName": "checkouts"})
    first = found_purges()["checkouts"]
    PURGE_CACHE.purgeCache(*POOL, payload={"cacheName": "checkouts"})
    assert found_purges()["checkouts"] > first


def found_purges(**query):
    found = PURGE_CACHE.purgeRequests(*POOL, query=query)["requests"]
    assert all((it["provisionerId"], it["workerType"]) == ("services", "worker") for it in found)
    return {it["cacheName"]: it["before"] for it in found}


def purge_cache_purge_requests():
    PURGE_CACHE.purgeCache(*POOL, payload={"cacheName": "tooltool"})
    before = found_purges()["tooltool"]
    assert "tooltool" in found_purges(since=before)
    equal(found_purges(since=soon("1 minute")), {})


def purge_cache_all_purge_requests():
    PURGE_CACHE.purgeCache(*POOL, payload={"cacheName": "all"})
    found = PURGE_CACHE.allPurgeRequests()["requests"]
    assert ("services", "all") in [(it["provisionerId"], it["cacheName"]) for it in found]


# The same of every service.
MONITORING = {
    "ping": lambda service: equal(service.ping()["alive"], True),
    "heartbeat": lambda service: equal(service.heartbeat(), {}),
    "lbheartbeat": lambda service: equal(service.lbheartbeat(), {}),
    "version": lambda service: equal(bool(service.version()["version"]), True),
}


def snake(method):
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in method)


def main():
    for name, service in [
        ("hooks", HOOKS),
        ("index", INDEX),
        ("notify", NOTIFY),
        ("secrets", SECRETS),
        ("purge_cache", PURGE_CACHE),
    ]:
        for method in sorted(service.funcinfo):
            if method in MONITORING:
                MONITORING[method](service)
            else:
                call = globals().get(name + "_" + snake(method))
                assert call, "no call is written for %s of %s" % (method, name)
                call()
            print("ok %s %s" % (name, method), flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main()
