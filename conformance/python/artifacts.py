"""What users of the Python client do with artifacts, run with an unmodified release of it.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. Prints one line
`ok <step>` a step; ends with a traceback at the first step that fails. Every method of the
client's own table that is about artifacts or objects is called, or the run fails.
"""

import base64
import hashlib
import io
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
ONE_QUEUE_NAME = taskcluster.Queue.funcinfo["claimWork"]["args"] == ["taskQueueId"]
PROVISIONER = "conformance"
WORKER_TYPE = "w" + "".join(random.choice(string.ascii_lowercase) for _ in range(12))
EXPIRES = taskcluster.fromNowJSON("1 hour")

# Everything that a client calls in this run.
called = set()


class Recorded(object):
    """A client that notes which of its methods are called."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        if name in type(self._client).funcinfo:
            called.add(type(self._client).__name__ + "." + name)
        return getattr(self._client, name)


def client(kind, credentials=None):
    options = {"rootUrl": ROOT_URL, "maxRetries": 0}
    if credentials:
        options["credentials"] = credentials
    return Recorded(getattr(taskcluster, kind)(options))


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def slug():
    made = taskcluster.slugId()
    return made.decode() if isinstance(made, bytes) else made


def refused(status, code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except TaskclusterRestFailure as error:
        equal((error.status_code, error.body.get("code")), (status, code))
        return error.body
    raise AssertionError("%r was not refused" % (args,))


def running(queue):
    """A task whose first run is claimed; its id and the worker's queue."""
    task = slug()
    made = {
        "schedulerId": "conformance",
        "created": taskcluster.fromNowJSON("0 seconds"),
        "deadline": taskcluster.fromNowJSON("2 hours"),
        "payload": {},
        "metadata": {
            "name": "artifacts",
            "description": "leaves artifacts",
            "owner": "someone@example.com",
            "source": "https://example.com/source",
        },
    }
    if ONE_QUEUE_NAME:
        made["taskQueueId"] = PROVISIONER + "/" + WORKER_TYPE
        name = (made["taskQueueId"],)
    else:
        made.update(provisionerId=PROVISIONER, workerType=WORKER_TYPE)
        name = (PROVISIONER, WORKER_TYPE)
    queue.createTask(task, made)
    worker = {"workerGroup": "group", "workerId": "worker"}
    claimed = queue.claimWork(*name, payload=worker)["tasks"][0]
    equal(claimed["status"]["taskId"], task)
    return task, client("Queue", claimed["credentials"])


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def fetch(queue, task, name):
    """What a browser gets that is sent there."""
    answer = requests.get(queue.buildSignedUrl("getLatestArtifact", task, name))
    equal(answer.status_code, 200)
    return answer


def simple(queue, worker, task):
    """One PUT, compressed or not, and ranges of it."""
    text = b"again and again " * 1000
    request = {"storageType": "s3", "contentType": "text/plain", "expires": EXPIRES}
    made = worker.createArtifact(task, 0, "public/plain", request)
    put = requests.put(made["putUrl"], data=text, headers={"Content-Type": "text/plain"})
    equal(put.status_code, 200)
    answer = fetch(queue, task, "public/plain")
    equal((answer.content, answer.headers["content-type"]), (text, "text/plain"))
    place = answer.url
    part = requests.get(place, headers={"Range": "bytes=-5"})
    equal((part.status_code, part.content), (206, text[-5:]))

    import gzip

    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as stream:
        stream.write(text)
    made = worker.createArtifact(task, 0, "public/log", request)
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    equal(requests.put(made["putUrl"], data=buffer.getvalue(), headers=headers).status_code, 200)
    answer = fetch(queue, task, "public/log")
    equal((answer.content, answer.headers["content-encoding"]), (text, "gzip"))
    ok("upload by PUT, compressed and not; download whole and in part")

    link = {"storageType": "link", "artifact": "public/log", "expires": EXPIRES}
    worker.createArtifact(task, 0, "public/live", link)
    equal(fetch(queue, task, "public/live").content, text)
    ok("a link leads to what it is named for")

    broken = {
        "storageType": "error",
        "reason": "file-missing-on-worker",
        "message": "there is no such file",
        "expires": EXPIRES,
    }
    worker.createArtifact(task, 0, "public/gone", broken)
    equal(refused(424, None, queue.getArtifact, task, 0, "public/gone")["reason"], broken["reason"])
    ok("an error artifact tells its reason (424)")


def listings(queue, task):
    names = sorted(it["name"] for it in queue.listArtifacts(task, 0)["artifacts"])
    equal(sorted(it["name"] for it in queue.listLatestArtifacts(task)["artifacts"]), names)
    assert "public/plain" in names
    if "artifactInfo" in taskcluster.Queue.funcinfo:
        info = queue.artifactInfo(task, 0, "public/plain")
        equal(queue.latestArtifactInfo(task, "public/plain"), info)
        equal((info["storageType"], info["contentType"]), ("s3", "text/plain"))
        place = queue.artifact(task, 0, "public/plain")
        equal((place["storageType"], requests.get(place["url"]).status_code), ("s3", 200))
        equal(queue.latestArtifact(task, "public/gone")["storageType"], "error")
    for name in ("getArtifact", "getLatestArtifact"):
        args = (task, 0) if name == "getArtifact" else (task,)
        assert getattr(queue, name)(*(args + ("public/plain",)))
    refused(404, "ResourceNotFound", queue.getArtifact, task, 0, "public/none")
    ok("list artifacts, look at them, and ask for their places")


def upload_blob(worker, task, name, data, size, complete=True):
    request = {
        "storageType": "blob",
        "contentType": "text/plain",
        "contentSha256": sha256(data),
        "contentLength": len(data),
        "expires": EXPIRES,
    }
    pieces = [data]
    if size:
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        request["parts"] = [{"sha256": sha256(it), "size": len(it)} for it in pieces]
    made = worker.createArtifact(task, 0, name, request)
    equal(len(made["requests"]), len(pieces))
    etags = []
    for asked, piece in zip(made["requests"], pieces):
        wrong = requests.request(
            asked["method"], asked["url"], headers=asked["headers"], data=b"x" * len(piece)
        )
        equal(wrong.status_code, 400)
        put = requests.request(
            asked["method"], asked["url"], headers=asked["headers"], data=piece
        )
        assert put.status_code < 300, put.text
        etags.append(put.headers["ETag"])
    if complete:
        worker.completeArtifact(task, 0, name, {"etags": etags})
    return etags


def blobs(queue, worker, task):
    data = os.urandom(100_000)
    upload_blob(worker, task, "public/whole", data, 0)
    equal(fetch(queue, task, "public/whole").content, data)
    etags = upload_blob(worker, task, "public/parts", data, 30_000, complete=False)
    refused(404, "ResourceNotFound", queue.getArtifact, task, 0, "public/parts")
    backwards = {"etags": etags[::-1]}
    refused(400, "InputError", worker.completeArtifact, task, 0, "public/parts", backwards)
    worker.completeArtifact(task, 0, "public/parts", {"etags": etags})
    answer = requests.get(
        queue.buildSignedUrl("getArtifact", task, 0, "public/parts"), allow_redirects=False
    )
    equal(answer.headers["x-taskcluster-location-content-sha256"], sha256(data))
    equal(fetch(queue, task, "public/parts").content, data)
    ok("upload blobs whole and in parts; what is wrong is refused (400)")


def objects(queue, worker, task):
    from taskcluster.download import downloadArtifactToBuf, downloadArtifactToFile, downloadToBuf
    from taskcluster.upload import uploadFromBuf

    for length in (0, 1, 8191, 8192, 1 << 20):
        name = "public/object-%d" % length
        data = os.urandom(length)
        request = {"storageType": "object", "contentType": "text/plain", "expires": EXPIRES}
        made = worker.createArtifact(task, 0, name, request)
        refused(404, "ResourceNotFound", queue.artifact, task, 0, name)
        uploader = client("Object", made["credentials"])
        uploadFromBuf(
            data=data,
            projectId=made["projectId"],
            name=made["name"],
            contentType="text/plain",
            contentLength=length,
            expires=made["expires"],
            uploadId=made["uploadId"],
            objectService=uploader,
            maxRetries=0,
        )
        worker.finishArtifact(task, 0, name, {"uploadId": made["uploadId"]})
        found, kind = downloadArtifactToBuf(
            taskId=task, runId=0, name=name, queueService=queue, maxRetries=0
        )
        equal((bytes(found), kind), (data, "text/plain"))
        equal(fetch(queue, task, name).content, data)
    ok("upload and download objects of all sizes with the client's own functions")

    reader = client("Object", ROOT)
    known = reader.object(made["name"])
    equal(known["hashes"]["sha256"], sha256(data))
    found, _ = downloadToBuf(name=made["name"], objectService=reader, maxRetries=0)
    equal(bytes(found), data)
    equal(requests.get(reader.buildSignedUrl("download", made["name"])).content, data)
    refused(404, "ResourceNotFound", reader.object, "none")
    refused(406, "NoMatchingMethod", reader.startDownload, made["name"],
            {"acceptDownloadMethods": {}})
    equal(reader.ping()["alive"], True)
    ok("look at an object; refusals 404 and 406")

    buffer = io.BytesIO()
    downloadArtifactToFile(buffer, taskId=task, name="public/log", queueService=queue, maxRetries=0)
    equal(buffer.getvalue(), b"again and again " * 1000)
    ok("download what is stored compressed")


def all_called():
    """Nothing of the client's own tables is left out."""
    wanted = set("Queue." + it for it in taskcluster.Queue.funcinfo if "rtifact" in it)
    if hasattr(taskcluster, "Object"):
        monitoring = ("heartbeat", "lbheartbeat", "version")
        names = (it for it in taskcluster.Object.funcinfo if it not in monitoring)
        # A redirect, which is followed by URL.
        wanted.update("Object." + it for it in names if it != "download")
    left = sorted(wanted - called)
    equal(left, [])
    ok("every method about artifacts and objects was called")


def main():
    queue = client("Queue", ROOT)
    task, worker = running(queue)
    simple(queue, worker, task)
    listings(queue, task)
    if "completeArtifact" in taskcluster.Queue.funcinfo:
        blobs(queue, worker, task)
    if "finishArtifact" in taskcluster.Queue.funcinfo:
        objects(queue, worker, task)
    all_called()
    worker.reportCompleted(task, 0)
    late = {"storageType": "s3", "contentType": "text/plain", "expires": EXPIRES}
    refused(409, "RequestConflict", worker.createArtifact, task, 0, "public/late", late)
    ok("a run that is over takes no more artifacts (409)")
    print("done", flush=True)


if __name__ == "__main__":
    main()
