"""Every method of the index, the secrets and the purge-cache service that a release of the Python
client knows, called with success, and what they do for each other and for tasks.

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
from taskcluster.exceptions import TaskclusterRestFailure  # noqa: E402

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ROOT = {
    "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
    "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
}


def client(service, credentials=ROOT):
    """No retries: a server fault must show, not be mended by the second try."""
    return service({"rootUrl": ROOT_URL, "maxRetries": 0, "credentials": credentials})


QUEUE = client(taskcluster.Queue)
INDEX = client(taskcluster.Index)
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
    except TaskclusterRestFailure as failure:
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
    for name, service in [("index", INDEX), ("secrets", SECRETS), ("purge_cache", PURGE_CACHE)]:
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
