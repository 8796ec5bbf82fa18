"""Task events as consumers of a broker read them: with kombu, which the usual consumers are built
on, while the broker is stopped and started under load.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN, the broker's URL in
TASKYARD_TEST_AMQP_URL and the program that stops and starts it in TASKYARD_TEST_BROKER. Prints one
line `ok <step>` a step; ends with a traceback at the first step that fails.
"""

import datetime
import fcntl
import os
import subprocess
import tempfile
import threading
import time

import kombu
import kombu.mixins
import taskcluster

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
OPTIONS = {
    "rootUrl": ROOT_URL,
    "credentials": {
        "clientId": os.environ["TASKCLUSTER_CLIENT_ID"],
        "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"],
    },
}
BROKER = os.environ["TASKYARD_TEST_AMQP_URL"]
CONTROL = os.environ["TASKYARD_TEST_BROKER"]

TASKS = 240
ROUTED_EVERY = 6
WORKERS = 4
# How long anything is waited for.
LIMIT = 240

GROUP = taskcluster.slugId()
ROUTE = "conformance." + taskcluster.slugId()
QUEUE = "conformance/" + taskcluster.slugId().lower().replace("_", "-")[:20].strip("-")
USER = "conformance-" + taskcluster.slugId()
STEPS = ["task-defined", "task-pending", "task-running", "task-completed"]


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def await_that(what, holds):
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, "waited in vain until " + what
        time.sleep(0.02)


class Consumer(kombu.mixins.ConsumerMixin):
    """A durable queue bound to some exchanges, which outlives losing the broker."""

    def __init__(self, name, bindings):
        self.connection = kombu.Connection(BROKER, heartbeat=30)
        self.name = "queue/%s/%s" % (USER, name)
        self.bindings = bindings
        self.heard = []
        self.ready = threading.Event()

    def declare(self):
        """Declares everything before it returns, as consumers do when they start."""
        with self.connection.clone() as connection:
            channel = connection.channel()
            for binding in self.bindings:
                # Consumers of others' exchanges only make sure that they are there.
                exchange = kombu.Exchange(binding["exchange"], type="topic", durable=True)
                exchange(channel).declare(passive=True)
            self.queue()(channel).declare()

    def queue(self):
        made = [
            kombu.binding(
                kombu.Exchange(each["exchange"], type="topic", durable=True, passive=True),
                routing_key=each["routingKeyPattern"],
            )
            for each in self.bindings
        ]
        return kombu.Queue(self.name, bindings=made, durable=True, exclusive=False,
                           auto_delete=False)

    def get_consumers(self, consumer, channel):
        return [consumer(queues=[self.queue()], callbacks=[self.take], accept=["json"])]

    def take(self, body, message):
        self.heard.append((message.delivery_info, message.headers, message.properties, body))
        message.ack()

    def steps(self):
        """What was heard of each task, each step when it was heard first."""
        steps = {}
        for info, _, _, body in list(self.heard):
            of_task = steps.setdefault(body["status"]["taskId"], [])
            step = info["exchange"].rsplit("/", 1)[1]
            if step not in of_task:
                of_task.append(step)
        return steps


def definition(route):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return {
        "taskQueueId": QUEUE,
        "schedulerId": "conformance",
        "taskGroupId": GROUP,
        "created": taskcluster.stringDate(now),
        "deadline": taskcluster.stringDate(taskcluster.fromNow("1 hour", now)),
        "routes": [route] if route else [],
        "tags": {"made": "here"},
        "payload": {},
        "metadata": {"name": "n", "description": "d", "owner": "o@example.com",
                     "source": "https://example.com/"},
    }


def work(queue, count, done):
    """Claims and completes tasks until `count` are done."""
    worker = {"workerGroup": "wg", "workerId": "w-%d" % threading.get_ident(), "tasks": 4}
    while len(done) < count:
        for claim in queue.claimWork(QUEUE, worker)["tasks"]:
            task_id = claim["status"]["taskId"]
            queue.reportCompleted(task_id, claim["runId"])
            done.append(task_id)


def main():
    # Held by all who need the broker, so that nobody else stops it meanwhile.
    lock = open(os.path.join(tempfile.gettempdir(), "taskyard-broker.lock"), "w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    events = taskcluster.QueueEvents(OPTIONS)
    methods = [events.taskDefined, events.taskPending, events.taskRunning, events.taskCompleted]
    by_key = Consumer("by-key", [method(taskGroupId=GROUP) for method in methods])
    by_route = Consumer("by-route", [method("route." + ROUTE) for method in methods])
    consumers = [by_key, by_route]
    # The server connects by itself; until then its exchanges may be missing.
    end = time.monotonic() + LIMIT
    while True:
        try:
            for consumer in consumers:
                consumer.declare()
            break
        except Exception:
            assert time.monotonic() < end, "the exchanges never appeared"
            time.sleep(0.1)
    ok("exchanges are there and can be bound to")

    with kombu.Connection(BROKER) as connection:
        channel = connection.channel()
        for name in [
            "exchange/taskcluster-github/v1/push",
            "exchange/taskcluster-github/v1/pull-request",
            "exchange/taskcluster-queue/v1/task-exception",
            "exchange/taskcluster-auth/v1/client-created",
            "exchange/taskcluster-worker-manager/v1/worker-pool-created",
            "exchange/taskcluster-treeherder/v1/jobs",
        ]:
            kombu.Exchange(name, type="topic", durable=True)(channel).declare(passive=True)
    ok("exchanges of services that are elsewhere are there too")

    threads = [threading.Thread(target=consumer.run, daemon=True) for consumer in consumers]
    queue = taskcluster.Queue(OPTIONS)
    done = []
    threads += [
        threading.Thread(target=work, args=(taskcluster.Queue(OPTIONS), TASKS, done), daemon=True)
        for _ in range(WORKERS)
    ]
    for thread in threads:
        thread.start()

    created, routed = [], []

    def create(count):
        for _ in range(count):
            route = ROUTE if len(created) % ROUTED_EVERY == 0 else None
            task_id = taskcluster.slugId()
            queue.createTask(task_id, definition(route))
            created.append(task_id)
            if route:
                routed.append(task_id)

    create(TASKS // 3)
    await_that("something is heard", lambda: by_key.heard)
    # Two scenarios that share a broker must not stop it in turns for ever: each is alone with it
    # here. To change a lock lets go of it first, so two that come here at once do not wait for each
    # other for ever, and while one waits, it needs nothing of the broker.
    fcntl.flock(lock, fcntl.LOCK_EX)
    subprocess.run([CONTROL, "stop"], check=True)
    before = len(done)
    create(TASKS // 3)
    await_that("tasks are done without a broker", lambda: len(done) >= before + TASKS // 6)
    subprocess.run([CONTROL, "start"], check=True)
    fcntl.flock(lock, fcntl.LOCK_SH)
    create(TASKS - len(created))
    ok("tasks are created and done while the broker is away")

    def complete(consumer, tasks):
        steps = consumer.steps()
        return all(len(steps.get(task_id, [])) == len(STEPS) for task_id in tasks)

    await_that("everything is done", lambda: len(done) >= TASKS)
    await_that("everything is heard by key", lambda: complete(by_key, created))
    await_that("everything is heard by route", lambda: complete(by_route, routed))
    equal(sorted(by_key.steps()), sorted(created))
    equal(sorted(by_route.steps()), sorted(routed))
    for consumer in consumers:
        for task_id, steps in consumer.steps().items():
            equal(steps, STEPS)
    ok("nothing is missing, and each task's messages come in their order")

    for info, headers, properties, body in by_key.heard:
        status = body["status"]
        is_routed = status["taskId"] in routed
        equal(headers["CC"], ["route." + ROUTE] if is_routed else [])
        equal(properties["content_type"], "application/json")
        equal(properties["content_encoding"], "utf-8")
        equal(properties["delivery_mode"], 2)
        words = info["routing_key"].split(".")
        equal(len(words), 10)
        equal([words[0], words[1], words[7], words[8], words[9]],
              ["primary", status["taskId"], "conformance", GROUP, "_"])
        equal(body["version"], 1)
        equal(body["task"], {"tags": {"made": "here"}})
    ok("messages look as consumers expect")

    for consumer in consumers:
        consumer.should_stop = True
    with kombu.Connection(BROKER) as connection:
        for consumer in consumers:
            consumer.queue()(connection.channel()).delete()
    print("done", flush=True)


main()
# Threads of consumers may be in the middle of a wait for what nobody sends any more.
os._exit(0)
