"""Every method of the queue that a release of the Python client knows, called once with success.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. The client's own
table says which methods there are; one that has no call here fails the run. Prints one line
`ok <method>` a method; ends with a traceback at the first that fails.
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
from taskcluster.exceptions import TaskclusterRestFailure  # noqa: E402

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ROOT = {
    "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
    "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
}
KNOWN = taskcluster.Queue.funcinfo
# Since release 41 of the services a queue is named by one argument instead of two.
ONE_QUEUE_NAME = KNOWN["claimWork"]["args"] == ["taskQueueId"]
WORKER = {"workerGroup": "group", "workerId": "worker"}
PROVISIONER = "methods"
NAME = "public/page"


def client(credentials):
    """No retries: a server fault must show, not be mended by the second try."""
    return taskcluster.Queue(
        {"rootUrl": ROOT_URL, "maxRetries": 0, "credentials": credentials}
    )


QUEUE = client(ROOT)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def slug():
    """A new id. Old releases of the slugid package return bytes."""
    made = taskcluster.slugId()
    return made.decode() if isinstance(made, bytes) else made


def soon(text="1 hour"):
    return taskcluster.fromNowJSON(text)


class Place:
    """A task queue of its own for one method."""

    def __init__(self):
        letters = (random.choice(string.ascii_lowercase) for _ in range(12))
        self.type = "w" + "".join(letters)
        self.id = PROVISIONER + "/" + self.type
        self.name = (self.id,) if ONE_QUEUE_NAME else (PROVISIONER, self.type)
        self.worker = (PROVISIONER, self.type, "group", "worker")

    def definition(self, **more):
        made = {
            "provisionerId": PROVISIONER,
            "workerType": self.type,
            "schedulerId": "conformance",
            "created": soon("0 seconds"),
            "deadline": soon("2 hours"),
            "payload": {},
            "metadata": {
                "name": "one method",
                "description": "a task for one method",
                "owner": "someone@example.com",
                "source": "https://example.com/source",
            },
        }
        made.update(more)
        return made

    def task(self, **more):
        made = slug()
        QUEUE.createTask(made, self.definition(**more))
        return made

    def claimed(self):
        """A running task, and the queue as its worker sees it."""
        made = self.task()
        claims = QUEUE.claimWork(*self.name, payload=dict(WORKER, tasks=1))["tasks"]
        equal([claim["status"]["taskId"] for claim in claims], [made])
        return made, client(claims[0]["credentials"])

    def artifact(self):
        made, worker = self.claimed()
        reference = {
            "storageType": "reference",
            "contentType": "application/json",
            "url": ROOT_URL + "/api/queue/v1/ping",
            "expires": soon(),
        }
        equal(worker.createArtifact(made, 0, NAME, reference), {"storageType": "reference"})
        return made, worker


def state(status):
    return status["status"]["state"]


def task(place):
    equal(QUEUE.task(place.task())["metadata"]["name"], "one method")


def status(place):
    equal(state(QUEUE.status(place.task())), "pending")


def tasks(place):
    made = place.task()
    found = QUEUE.tasks({"taskIds": [made, slug()]})["tasks"]
    equal([(it["taskId"], it["task"]["workerType"]) for it in found], [(made, place.type)])


def statuses(place):
    made = sorted([place.task(), place.task()])
    pages = []
    QUEUE.statuses(
        payload={"taskIds": made},
        query={"limit": 1},
        paginationHandler=lambda page: pages.append(page["statuses"]),
    )
    equal([it["taskId"] for page in pages for it in page], made)


def list_task_group(place):
    made = place.task()
    equal([it["status"]["taskId"] for it in QUEUE.listTaskGroup(made)["tasks"]], [made])


def list_dependent_tasks(place):
    made = place.task()
    other = place.task(dependencies=[made])
    found = QUEUE.listDependentTasks(made)["tasks"]
    equal([it["status"]["taskId"] for it in found], [other])


def get_task_group(place):
    made = place.task()
    equal(QUEUE.getTaskGroup(made)["schedulerId"], "conformance")


def seal_task_group(place):
    made = place.task()
    sealed = QUEUE.sealTaskGroup(made)["sealed"]
    equal(QUEUE.getTaskGroup(made)["sealed"], sealed)


def cancel_task_group(place):
    made = place.task()
    QUEUE.sealTaskGroup(made)
    told = QUEUE.cancelTaskGroup(made)
    equal((told["taskIds"], told["cancelledCount"], told["taskGroupSize"]), ([made], 1, 1))
    equal(state(QUEUE.status(made)), "exception")


def change_task_priority(place):
    made = place.task()
    told = QUEUE.changeTaskPriority(made, {"newPriority": "high"})
    equal(told["status"]["priority"], "high")
    equal(QUEUE.task(made)["priority"], "high")


def change_task_group_priority(place):
    made = place.task()
    told = QUEUE.changeTaskGroupPriority(made, {"newPriority": "very-low"})
    equal((told["tasksAffected"], told["taskIds"]), (1, [made]))


def create_task(place):
    made = slug()
    equal(state(QUEUE.createTask(made, place.definition())), "pending")


def define_task(place):
    made = slug()
    equal(state(QUEUE.defineTask(made, place.definition())), "unscheduled")
    equal(state(QUEUE.scheduleTask(made)), "pending")


def schedule_task(place):
    made = slug()
    equal(state(QUEUE.createTask(made, place.definition(dependencies=[made]))), "unscheduled")
    equal(state(QUEUE.scheduleTask(made)), "pending")


def rerun_task(place):
    made, worker = place.claimed()
    worker.reportCompleted(made, 0)
    equal(len(QUEUE.rerunTask(made)["status"]["runs"]), 2)


def cancel_task(place):
    equal(state(QUEUE.cancelTask(place.task())), "exception")


def claim_work(place):
    made = place.task()
    claims = QUEUE.claimWork(*place.name, payload=dict(WORKER))["tasks"]
    equal([claim["status"]["taskId"] for claim in claims], [made])


def claim_task(place):
    made = place.task()
    claim = QUEUE.claimTask(made, 0, dict(WORKER))
    equal((claim["runId"], state(claim)), (0, "running"))


def reclaim_task(place):
    made, worker = place.claimed()
    assert worker.reclaimTask(made, 0)["credentials"]["certificate"]


def report_completed(place):
    made, worker = place.claimed()
    equal(state(worker.reportCompleted(made, 0)), "completed")


def report_failed(place):
    made, worker = place.claimed()
    equal(state(worker.reportFailed(made, 0)), "failed")


def report_exception(place):
    made, worker = place.claimed()
    equal(state(worker.reportException(made, 0, {"reason": "malformed-payload"})), "exception")


def create_artifact(place):
    place.artifact()


def list_artifacts(place):
    made, _ = place.artifact()
    equal([it["name"] for it in QUEUE.listArtifacts(made, 0)["artifacts"]], [NAME])


def list_latest_artifacts(place):
    made, _ = place.artifact()
    equal([it["name"] for it in QUEUE.listLatestArtifacts(made)["artifacts"]], [NAME])


def fetched(answer):
    """Newer releases answer with the place; older ones go there."""
    if ONE_QUEUE_NAME:
        equal(requests.get(answer["url"]).json()["alive"], True)
    else:
        equal(answer["alive"], True)


def get_artifact(place):
    made, _ = place.artifact()
    fetched(QUEUE.getArtifact(made, 0, NAME))


def get_latest_artifact(place):
    made, _ = place.artifact()
    fetched(QUEUE.getLatestArtifact(made, NAME))


def artifact(place):
    made, _ = place.artifact()
    equal(QUEUE.artifact(made, 0, NAME)["storageType"], "reference")


def latest_artifact(place):
    made, _ = place.artifact()
    equal(QUEUE.latestArtifact(made, NAME)["storageType"], "reference")


def artifact_info(place):
    made, _ = place.artifact()
    equal(QUEUE.artifactInfo(made, 0, NAME)["contentType"], "application/json")


def latest_artifact_info(place):
    made, _ = place.artifact()
    equal(QUEUE.latestArtifactInfo(made, NAME)["contentType"], "application/json")


def refused(status_code, code, call, *args):
    try:
        call(*args)
    except TaskclusterRestFailure as error:
        equal((error.status_code, error.body["code"]), (status_code, code))
        return
    raise AssertionError("%r was not refused" % (args,))


def complete_artifact(place):
    """Only artifacts that wait for parts can be completed."""
    made, worker = place.artifact()
    refused(400, "InputError", worker.completeArtifact, made, 0, NAME, {"etags": []})


def finish_artifact(place):
    """Only artifacts that wait for an upload can be finished."""
    made, worker = place.artifact()
    refused(400, "InputError", worker.finishArtifact, made, 0, NAME, {"uploadId": slug()})


def known(place):
    """A queue that a worker has used."""
    place.claimed()
    return place


def list_provisioners(place):
    known(place)
    found = [it["provisionerId"] for it in QUEUE.listProvisioners()["provisioners"]]
    assert PROVISIONER in found, found


def get_provisioner(place):
    known(place)
    equal(QUEUE.getProvisioner(PROVISIONER)["actions"], [])


def declare_provisioner(place):
    body = {"description": place.type, "stability": "stable"}
    equal(QUEUE.declareProvisioner(PROVISIONER, body)["description"], place.type)


def pending_tasks(place):
    place.task()
    equal(QUEUE.pendingTasks(*place.name)["pendingTasks"], 1)


def task_queue_counts(place):
    known(place).task()
    told = QUEUE.taskQueueCounts(place.id)
    equal((told["pendingTasks"], told["claimedTasks"]), (1, 1))


def task_queue_counts_batch(place):
    known(place)
    told = QUEUE.taskQueueCountsBatch({"taskQueueIds": [place.id]})["taskQueueCounts"]
    equal([(it["taskQueueId"], it["claimedTasks"]) for it in told], [(place.id, 1)])


def list_pending_tasks(place):
    made = place.task()
    equal([it["taskId"] for it in QUEUE.listPendingTasks(place.id)["tasks"]], [made])


def list_claimed_tasks(place):
    made, _ = place.claimed()
    found = QUEUE.listClaimedTasks(place.id)["tasks"]
    equal([(it["taskId"], it["workerId"]) for it in found], [(made, "worker")])


def list_task_queues(place):
    known(place)
    found = []
    QUEUE.listTaskQueues(
        query={"limit": 1},
        paginationHandler=lambda page: found.extend(it["taskQueueId"] for it in page["taskQueues"]),
    )
    assert place.id in found, found


def get_task_queue(place):
    equal(QUEUE.getTaskQueue(known(place).id)["stability"], "experimental")


def list_worker_types(place):
    known(place)
    found = [it["workerType"] for it in QUEUE.listWorkerTypes(PROVISIONER)["workerTypes"]]
    assert place.type in found, found


def get_worker_type(place):
    known(place)
    equal(QUEUE.getWorkerType(PROVISIONER, place.type)["workerType"], place.type)


def declare_worker_type(place):
    body = {"description": "declared", "expires": soon("2 days")}
    told = QUEUE.declareWorkerType(PROVISIONER, place.type, body)
    equal((told["description"], told["stability"]), ("declared", "experimental"))


def list_workers(place):
    known(place)
    found = QUEUE.listWorkers(PROVISIONER, place.type)["workers"]
    equal([(it["workerGroup"], it["workerId"]) for it in found], [("group", "worker")])


def get_worker(place):
    made, _ = place.claimed()
    equal(QUEUE.getWorker(*place.worker)["recentTasks"], [{"taskId": made, "runId": 0}])


def quarantine_worker(place):
    known(place)
    until = soon("1 day")
    told = QUEUE.quarantineWorker(*place.worker, payload={"quarantineUntil": until})
    assert told["quarantineUntil"] > soon("1 hour"), told
    refused(409, "RequestConflict", QUEUE.claimTask, place.task(), 0, dict(WORKER))


def declare_worker(place):
    told = QUEUE.declareWorker(*place.worker, payload={"expires": soon("2 days")})
    equal((told["workerId"], told["recentTasks"]), ("worker", []))


def ping(_place):
    equal(QUEUE.ping()["alive"], True)


def heartbeat(_place):
    equal(QUEUE.heartbeat(), {})


def lbheartbeat(_place):
    equal(QUEUE.lbheartbeat(), {})


def version(_place):
    assert QUEUE.version()["version"]


def call_of(method):
    """The function here that is about a method of the client: listTaskGroup is list_task_group."""
    name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in method)
    return globals().get(name)


def main():
    missing = [method for method in sorted(KNOWN) if call_of(method) is None]
    assert not missing, "no call is written for %r" % missing
    for method in sorted(KNOWN):
        call_of(method)(Place())
        print("ok " + method, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main()
