"""A graph of tasks made with an unmodified release of the Python client and run by a stack.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKYARD_BIN. Prints
one line `ok <step>` a step; ends with a traceback at the first step that fails.
"""

import base64
import json
import os
import random
import signal
import string
import subprocess
import tempfile
import time

# Releases up to 7 call a function that Python 3.9 removed. This is the whole of the help they get.
if not hasattr(base64, "encodestring"):
    base64.encodestring = base64.encodebytes

import requests  # noqa: E402
import taskcluster  # noqa: E402

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
TASKYARD = os.environ["TASKYARD_BIN"]
QUEUE_KEY = "q" + "".join(random.choice(string.ascii_lowercase) for _ in range(12))
# Since release 41 of the services a queue is named by one argument instead of two.
ONE_QUEUE_NAME = taskcluster.Queue.funcinfo["claimWork"]["args"] == ["taskQueueId"]
PATIENCE = 120

queue = taskcluster.Queue(
    {
        "rootUrl": ROOT_URL,
        "maxRetries": 0,
        "credentials": {
            "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
            "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
        },
    }
)


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def slug():
    """A new id. Old releases of the slugid package return bytes."""
    made = taskcluster.slugId()
    return made.decode() if isinstance(made, bytes) else made


def create(group, task, name, command, dependencies=(), stacks=None, **payload):
    definition = {
        "schedulerId": "conformance",
        "taskGroupId": group,
        "dependencies": list(dependencies),
        "created": taskcluster.fromNowJSON("0 seconds"),
        "deadline": taskcluster.fromNowJSON("2 hours"),
        "expires": taskcluster.fromNowJSON("1 day"),
        "payload": dict(payload, command=command),
        "metadata": {
            "name": name,
            "description": "one task of a graph that a stack runs",
            "owner": "someone@example.com",
            "source": "https://example.com/source",
        },
        "extra": {"stacks": stacks or {}},
    }
    if ONE_QUEUE_NAME:
        definition["taskQueueId"] = "stacks/" + QUEUE_KEY
    else:
        definition["provisionerId"] = "stacks"
        definition["workerType"] = QUEUE_KEY
    queue.createTask(task, definition)


def status(task):
    return queue.status(task)["status"]


def wait_for(what, condition):
    end = time.time() + PATIENCE
    while not condition():
        assert time.time() < end, "still not: " + what
        time.sleep(0.1)


def fetch(task, name):
    answer = requests.get(queue.buildSignedUrl("getLatestArtifact", task, name))
    equal(answer.status_code, 200)
    return answer.text


def start_stack(folder):
    made = subprocess.check_output(
        [TASKYARD, "stacks", "--json", "token", "create", "--queue", QUEUE_KEY]
    )
    command = [TASKYARD, "stack", "--endpoint", ROOT_URL + "/v3", "--queue", QUEUE_KEY]
    command += ["--poll", "200ms", "--concurrency", "2", "--work-dir", folder]
    environment = dict(os.environ, BUILDKITE_AGENT_TOKEN=json.loads(made)["token"])
    return subprocess.Popen(command, env=environment)


def run_graph():
    group, build, test, fail = slug(), slug(), slug(), slug()
    script = "mkdir -p public && echo $GREETING > public/made.txt && cat public/made.txt"
    create(
        group,
        build,
        "build",
        script,
        stacks={"artifactPaths": ["public/*.txt"], "label": "Build", "pipeline": "p"},
        env={"GREETING": "Gr\u00fc\u00dfe \U0001f600"},
        maxRunTime=600,
    )
    create(
        group,
        test,
        "test",
        [["echo", "two words"], ["sh", "-c", "test $RUN_ID = 1 || exit 75"]],
        [build],
        onExitStatus={"retry": [75]},
    )
    create(group, fail, "fail", "exit 3", [test])
    ok("create a graph of three tasks")
    wait_for("the graph is done", lambda: status(fail)["state"] in ("failed", "exception"))
    equal([status(task)["state"] for task in (build, test, fail)], ["completed", "completed", "failed"])
    runs = [run["reasonResolved"] for run in status(test)["runs"]]
    equal(runs, ["intermittent-task", "completed"])
    ok("a stack runs them in order, retries one and reports a failure")

    for name in ("public/logs/live.log", "public/logs/live_backing.log"):
        log = fetch(build, name)
        assert "\nGr\u00fc\u00dfe \U0001f600\n" in log, log
    assert "\ntwo words\n" in fetch(test, "public/logs/live.log")
    equal(fetch(build, "public/made.txt"), "Gr\u00fc\u00dfe \U0001f600\n")
    names = [it["name"] for it in queue.listLatestArtifacts(build)["artifacts"]]
    equal(
        sorted(names),
        ["public/logs/live.log", "public/logs/live_backing.log", "public/made.txt"],
    )
    ok("logs and artifacts are read back")


def cancel_one(folder):
    began = os.path.join(folder, "began")
    task = slug()
    create(slug(), task, "long", "touch %s; sleep 1000" % began)
    wait_for("the task has begun", lambda: os.path.exists(began))
    equal(status(task)["state"], "running")
    queue.cancelTask(task)
    equal(status(task)["runs"][0]["reasonResolved"], "canceled")
    ok("a running task is cancelled")


def main():
    with tempfile.TemporaryDirectory() as folder:
        stack = start_stack(os.path.join(folder, "work"))
        try:
            run_graph()
            cancel_one(folder)
            stack.send_signal(signal.SIGTERM)
            equal(stack.wait(PATIENCE), 0)
            ok("the stack stops when it is told to")
        finally:
            if stack.poll() is None:
                stack.kill()
                stack.wait()
    print("done")


main()
