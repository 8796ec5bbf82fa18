"""What users of the Python client do, run with an unmodified release of it against a server.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. Prints one line
`ok <step>` a step; ends with a traceback at the first step that fails.
"""

import asyncio
import base64
import datetime
import json
import os
import random
import string
import threading
import time

# Releases up to 7 call a function that Python 3.9 removed. This is the whole of the help they get.
if not hasattr(base64, "encodestring"):
    base64.encodestring = base64.encodebytes

import requests  # noqa: E402
import taskcluster  # noqa: E402
import taskcluster.aio  # noqa: E402
import taskcluster.client  # noqa: E402
from taskcluster.exceptions import (  # noqa: E402
    TaskclusterAuthFailure,
    TaskclusterFailure,
    TaskclusterRestFailure,
)

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ROOT = {
    "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
    "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
}
# Since release 41 of the services a queue is named by one argument instead of two.
ONE_QUEUE_NAME = taskcluster.Queue.funcinfo["claimWork"]["args"] == ["taskQueueId"]

PROVISIONER = "conformance"
WORKER_TYPE = "w" + "".join(random.choice(string.ascii_lowercase) for _ in range(12))
SCHEDULER = "conformance"
WORKER = {"workerGroup": "group", "workerId": "worker"}


def options(credentials=None, **more):
    """Client options. No retries: a server fault must show, not be mended by the second try."""
    chosen = {"rootUrl": ROOT_URL, "maxRetries": 0}
    if credentials:
        chosen["credentials"] = credentials
    chosen.update(more)
    return chosen


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def slug():
    """A new id. Old releases of the slugid package return bytes."""
    made = taskcluster.slugId()
    return made.decode() if isinstance(made, bytes) else made


def refused(status, code, call, *args, **kwargs):
    """`call` must be refused with this HTTP status and error code, as the client's own error."""
    kind = TaskclusterAuthFailure if status == 401 else TaskclusterRestFailure
    try:
        call(*args, **kwargs)
    except TaskclusterFailure as error:
        assert type(error) is kind, "%r instead of %s" % (error, kind.__name__)
        equal((error.status_code, error.body["code"]), (status, code))
        assert error.body["message"], "the error has no message"
        return error
    raise AssertionError("%r was not refused" % (args,))


def queue_name():
    if ONE_QUEUE_NAME:
        return (PROVISIONER + "/" + WORKER_TYPE,)
    return (PROVISIONER, WORKER_TYPE)


def definition(group, name, dependencies=(), **more):
    made = {
        "schedulerId": SCHEDULER,
        "taskGroupId": group,
        "dependencies": list(dependencies),
        "created": taskcluster.fromNowJSON("0 seconds"),
        "deadline": taskcluster.fromNowJSON("2 hours"),
        "expires": taskcluster.fromNowJSON("1 day"),
        "payload": {"command": ["true"], "text": "Gr\u00fc\u00dfe \U0001f600"},
        "metadata": {
            "name": name,
            "description": "one task of the conformance graph",
            "owner": "someone@example.com",
            "source": "https://example.com/source",
        },
    }
    if ONE_QUEUE_NAME:
        made["taskQueueId"] = PROVISIONER + "/" + WORKER_TYPE
    else:
        made["provisionerId"] = PROVISIONER
        made["workerType"] = WORKER_TYPE
    made.update(more)
    return made


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")


def claim(queue, expected_task):
    """Claims one task as the worker; it must be this one. Returns the claim, and a queue client
    that has the claim's credentials."""
    claims = queue.claimWork(*queue_name(), payload=dict(WORKER, tasks=1))["tasks"]
    equal([claimed["status"]["taskId"] for claimed in claims], [expected_task])
    return claims[0], worker_queue(claims[0])


def worker_queue(claimed):
    return taskcluster.Queue(options(claimed["credentials"]))


def state(queue, task):
    return queue.status(task)["status"]["state"]


def create_graph(queue):
    """build <- test <- deploy, in one group; deploy needs both."""
    build, test, deploy = slug(), slug(), slug()
    plan = [(build, "build", []), (test, "test", [build]), (deploy, "deploy", [build, test])]
    definitions = {}
    for task, name, needs in plan:
        definitions[task] = definition(build, name, needs)
        status = queue.createTask(task, definitions[task])["status"]
        equal(status["taskId"], task)
        equal(status["taskGroupId"], build)
        equal(status["state"], "unscheduled" if needs else "pending")
    ok("create a graph of three tasks; only the first is pending")

    again = queue.createTask(build, definitions[build])["status"]
    equal((again["state"], len(again["runs"])), ("pending", 1))
    refused(409, "RequestConflict", queue.createTask, build, definition(build, "another"))
    ok("creating a task again changes nothing; another one under its id is refused (409)")

    found = queue.task(build)
    for key in ("payload", "metadata", "schedulerId", "taskGroupId"):
        equal(found[key], definitions[build][key])
    equal((found["provisionerId"], found["workerType"]), (PROVISIONER, WORKER_TYPE))
    equal(moment(found["expires"]) > moment(found["deadline"]), True)
    ok("the definition comes back as it was sent")

    dependents = queue.listDependentTasks(build)["tasks"]
    equal(sorted(it["status"]["taskId"] for it in dependents), sorted([test, deploy]))
    ok("list the dependents of a task")
    equal(queue.pendingTasks(*queue_name())["pendingTasks"], 1)
    ok("count the pending tasks of the queue")
    return build, test, deploy


def work_on(queue, task):
    """Claims, reclaims, leaves artifacts and completes."""
    claimed, worker = claim(queue, task)
    equal((claimed["runId"], claimed["status"]["state"]), (0, "running"))
    equal((claimed["workerGroup"], claimed["workerId"]), ("group", "worker"))
    equal(claimed["task"]["metadata"]["name"], "build")
    run = claimed["status"]["runs"][0]
    equal(run["takenUntil"], claimed["takenUntil"])
    ok("claim work: the pending task, with credentials of its own")

    reclaimed = worker.reclaimTask(task, 0)
    assert moment(reclaimed["takenUntil"]) >= moment(claimed["takenUntil"])
    assert reclaimed["credentials"]["accessToken"] != claimed["credentials"]["accessToken"]
    worker = worker_queue(reclaimed)
    ok("reclaim with the claim's credentials; new credentials work")

    refused(403, "InsufficientScopes", worker.cancelTask, task)
    ok("the claim's credentials cannot cancel the task (403)")

    leave_artifacts(queue, worker, task)

    status = worker.reportCompleted(task, 0)["status"]
    equal((status["state"], status["runs"][0]["reasonResolved"]), ("completed", "completed"))
    equal(worker.reportCompleted(task, 0)["status"]["state"], "completed")
    refused(409, "RequestConflict", worker.reportFailed, task, 0)
    refused(409, "RequestConflict", worker.reclaimTask, task, 0)
    ok("complete; again is fine, anything else is refused (409)")


def leave_artifacts(queue, worker, task):
    text = "line\n" * 1000 + "Gr\u00fc\u00dfe\n"
    document = {"answer": 42}
    uploads = [
        ("public/logs/live log.txt", "text/plain; charset=utf-8", text.encode("utf-8")),
        ("public/result.json", "application/json", json.dumps(document).encode()),
        ("private/secret.txt", "text/plain", b"nobody but its readers"),
    ]
    expires = taskcluster.fromNowJSON("1 hour")
    for name, kind, data in uploads:
        made = worker.createArtifact(
            task, 0, name, {"storageType": "s3", "contentType": kind, "expires": expires}
        )
        equal((made["storageType"], made["contentType"]), ("s3", kind))
        put = requests.put(made["putUrl"], data=data, headers={"Content-Type": made["contentType"]})
        equal(put.status_code, 200)
    ok("upload artifacts with a plain PUT")

    reference = {
        "storageType": "reference",
        "contentType": "text/html",
        "url": ROOT_URL + "/api/queue/v1/ping",
        "expires": expires,
    }
    equal(worker.createArtifact(task, 0, "public/page", reference), {"storageType": "reference"})
    broken = {
        "storageType": "error",
        "reason": "file-missing-on-worker",
        "message": "there is no such file",
        "expires": expires,
    }
    equal(worker.createArtifact(task, 0, "public/gone", broken), {"storageType": "error"})
    ok("create a reference and an error artifact")

    changed = dict(reference, storageType="s3")
    del changed["url"]
    refused(409, "RequestConflict", worker.createArtifact, task, 0, "public/page", changed)
    ok("an artifact cannot change its type (409)")

    names = sorted([name for name, _, _ in uploads] + ["public/page", "public/gone"])
    listed = queue.listArtifacts(task, 0)["artifacts"]
    equal(sorted(artifact["name"] for artifact in listed), names)
    pages = []
    queue.listLatestArtifacts(task, paginationHandler=pages.append, paginationLimit=2)
    equal(sorted(it["name"] for page in pages for it in page["artifacts"]), names)
    assert len(pages) >= 3, "five artifacts in pages of two are three pages"
    ok("list artifacts, whole and by pages")

    for name, kind, data in uploads:
        for method, args in (("getArtifact", (task, 0, name)), ("getLatestArtifact", (task, name))):
            answer = requests.get(queue.buildSignedUrl(method, *args))
            equal((answer.status_code, answer.content), (200, data))
            equal(answer.headers["content-type"], kind)
    ok("download by signed URL")

    anonymous = taskcluster.Queue(options())
    public, private = uploads[0][0], uploads[2][0]
    answer = requests.get(anonymous.buildUrl("getLatestArtifact", task, public))
    equal(answer.content, uploads[0][2])
    refused(403, "InsufficientScopes", anonymous.getLatestArtifact, task, private)
    ok("anybody downloads public artifacts, and no other (403)")

    if ONE_QUEUE_NAME:
        # Newer releases answer with the place instead of going there.
        place = queue.getLatestArtifact(task, "public/result.json")
        equal((place["storageType"], requests.get(place["url"]).json()), ("s3", document))
        from taskcluster.download import downloadArtifactToBuf

        data, kind = downloadArtifactToBuf(
            taskId=task, runId=0, name=private, queueService=queue, maxRetries=0
        )
        equal((bytes(data), kind), (uploads[2][2], uploads[2][1]))
        ok("download with the client's own function")
    else:
        # Older releases follow the redirect, carrying their authorization along.
        equal(queue.getLatestArtifact(task, "public/result.json"), document)
        equal(queue.getArtifact(task, 0, private)["response"].content, uploads[2][2])
        ok("download through the redirect that the client follows")

    refused(404, "ResourceNotFound", queue.getLatestArtifact, task, "public/none")
    try:
        queue.getLatestArtifact(task, "public/gone")
        raise AssertionError("an artifact that stands for an error was served")
    except TaskclusterRestFailure as error:
        equal((error.status_code, error.body["reason"]), (424, "file-missing-on-worker"))
    ok("an unknown artifact is not found (404), one that stands for an error says which (424)")


def fail_and_rerun(queue, test, deploy):
    equal((state(queue, test), state(queue, deploy)), ("pending", "unscheduled"))
    ok("a completed task releases its dependents, one that waits for more stays")

    _, worker = claim(queue, test)
    equal(worker.reportFailed(test, 0)["status"]["state"], "failed")
    equal(state(queue, deploy), "unscheduled")
    ok("a failed task does not release its dependents")

    status = queue.rerunTask(test)["status"]
    equal((status["state"], len(status["runs"])), ("pending", 2))
    equal(status["runs"][1]["reasonCreated"], "rerun")
    claimed, worker = claim(queue, test)
    equal(claimed["runId"], 1)
    equal(worker.reportCompleted(test, 1)["status"]["state"], "completed")
    equal(state(queue, deploy), "pending")
    ok("rerun: a new run, which completes and releases the dependents")


def cancel_and_exceptions(queue, deploy):
    status = queue.cancelTask(deploy)["status"]
    equal((status["state"], status["runs"][-1]["reasonResolved"]), ("exception", "canceled"))
    equal(queue.cancelTask(deploy)["status"]["state"], "exception")
    ok("cancel; again changes nothing")

    equal(queue.rerunTask(deploy)["status"]["state"], "pending")
    claimed, worker = claim(queue, deploy)
    run = claimed["runId"]
    status = worker.reportException(deploy, run, {"reason": "worker-shutdown"})["status"]
    equal((status["state"], len(status["runs"])), ("pending", run + 2))
    equal(status["runs"][run]["reasonResolved"], "worker-shutdown")
    equal(status["runs"][run + 1]["reasonCreated"], "retry")
    ok("a worker that shuts down hands its task to another one")

    claimed, worker = claim(queue, deploy)
    status = worker.reportException(deploy, claimed["runId"], {"reason": "malformed-payload"})
    equal(status["status"]["state"], "exception")
    ok("a malformed payload is final")

    task = slug()
    queue.createTask(task, definition(task, "cancelled while running"))
    claimed, worker = claim(queue, task)
    queue.cancelTask(task)
    refused(409, "RequestConflict", worker.reportCompleted, task, claimed["runId"])
    ok("a worker whose task was cancelled cannot complete it (409)")


def list_group(queue, group, tasks):
    whole = queue.listTaskGroup(group)
    equal(whole["taskGroupId"], group)
    equal(sorted(it["status"]["taskId"] for it in whole["tasks"]), sorted(tasks))
    pages = []
    queue.listTaskGroup(group, paginationHandler=pages.append, paginationLimit=1)
    equal(sorted(it["status"]["taskId"] for page in pages for it in page["tasks"]), sorted(tasks))
    equal(sorted(it["task"]["metadata"]["name"] for it in whole["tasks"]), ["build", "deploy", "test"])
    ok("list the group, whole and by pages of one")


def wake_up(queue):
    """A worker that waits is served when a task comes."""
    answers = []
    waiting = taskcluster.Queue(options(ROOT))
    worker = threading.Thread(
        target=lambda: answers.append(waiting.claimWork(*queue_name(), payload=dict(WORKER)))
    )
    worker.start()
    time.sleep(1)  # most of the time the worker waits by then; if not, the step holds all the same
    task = slug()
    begun = time.monotonic()
    queue.createTask(task, definition(task, "awaited"))
    worker.join()
    took = time.monotonic() - begun
    equal([it["status"]["taskId"] for it in answers[0]["tasks"]], [task])
    # Without the task a claim waits for 20 seconds. This is less, and still enough for a machine
    # that stands still for a while.
    assert took < 15, "the waiting worker got the task only after %.1f s" % took
    ok("a waiting claim gets a new task at once")
    worker_queue(answers[0]["tasks"][0]).reportCompleted(task, 0)


def errors(queue):
    unknown = slug()
    for call in (queue.task, queue.status, queue.cancelTask, queue.rerunTask, queue.listTaskGroup):
        refused(404, "ResourceNotFound", call, unknown)
    ok("unknown tasks and groups are not found (404)")

    wrong = taskcluster.Queue(options(dict(ROOT, accessToken="x" * 44)))
    refused(401, "AuthenticationFailed", wrong.createTask, unknown, definition(unknown, "wrong"))
    nobody = taskcluster.Queue(options(dict(ROOT, clientId="no/such/client")))
    refused(401, "AuthenticationFailed", nobody.createTask, unknown, definition(unknown, "nobody"))
    ok("a wrong token and an unknown client are refused (401)")

    anonymous = taskcluster.Queue(options())
    refused(403, "InsufficientScopes", anonymous.createTask, unknown, definition(unknown, "anon"))
    limited = taskcluster.Queue(options(ROOT, authorizedScopes=["queue:create-task:*"]))
    refused(403, "InsufficientScopes", limited.createTask, unknown, definition(unknown, "limited"))
    ok("without scopes nothing is created (403)")

    for spoiled in (
        definition(unknown, "bad", priority="urgent"),
        definition(unknown, "bad", surprise=1),
        definition(unknown, "bad", retries=50),
    ):
        refused(400, "InputValidationError", queue.createTask, unknown, spoiled)
    refused(400, "InputError", queue.createTask, unknown, definition(unknown, "bad", [slug()]))
    refused(400, "InvalidRequestArguments", queue.status, "not-a-slug")
    refused(404, "ResourceNotFound", queue.status, unknown)
    ok("bad input is refused (400) and leaves no task behind")


def temporary_credentials(queue):
    """Credentials that the client makes by itself, without asking the server."""
    made = taskcluster.client.createTemporaryCredentials(
        ROOT["clientId"],
        ROOT["accessToken"],
        taskcluster.fromNow("-1 minute"),
        taskcluster.fromNow("1 hour"),
        ["queue:cancel-task:*", "queue:status:*"],
        name="conformance/temporary",
    )
    made = {key: it.decode() if isinstance(it, bytes) else it for key, it in made.items()}
    temporary = taskcluster.Queue(options(made))
    task = slug()
    made = definition(task, "cancelled by temporary credentials")
    refused(403, "InsufficientScopes", temporary.createTask, task, made)
    queue.createTask(task, made)
    equal(temporary.cancelTask(task)["status"]["state"], "exception")
    ok("temporary credentials allow what they name, and no more (403)")


async def asynchronous():
    queue = taskcluster.aio.Queue(options(ROOT))
    equal((await queue.ping())["alive"], True)
    task = slug()
    await queue.createTask(task, definition(task, "asynchronous"))
    claims = await queue.claimWork(*queue_name(), payload=dict(WORKER))
    equal([it["status"]["taskId"] for it in claims["tasks"]], [task])
    worker = taskcluster.aio.Queue(options(claims["tasks"][0]["credentials"]))
    equal((await worker.reportCompleted(task, 0))["status"]["state"], "completed")
    try:
        await queue.status(slug())
        raise AssertionError("an unknown task was found")
    except TaskclusterRestFailure as error:
        equal(error.status_code, 404)
    ok("the asynchronous client: create, claim, complete, 404")


def main():
    queue = taskcluster.Queue(options(ROOT))
    equal(queue.ping()["alive"], True)
    ok("ping")
    build, test, deploy = create_graph(queue)
    work_on(queue, build)
    fail_and_rerun(queue, test, deploy)
    cancel_and_exceptions(queue, deploy)
    list_group(queue, build, [build, test, deploy])
    wake_up(queue)
    errors(queue)
    temporary_credentials(queue)
    asyncio.run(asynchronous())
    print("done", flush=True)


if __name__ == "__main__":
    main()
