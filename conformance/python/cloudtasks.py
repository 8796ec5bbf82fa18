"""Cloud Tasks as users of Google's Python client see it: every method of every version, over gRPC,
gRPC with asyncio and REST, with the unmodified client.

Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and
CLOUDTASKS_DESCRIPTORS. The client itself says which methods there are; one that no step called
fails the run. Prints one line `ok <step>` a step; ends with a traceback at the first step that
fails.
"""

import asyncio
import datetime
import functools
import importlib
import inspect
import json
import os
import queue as channel
import random
import string
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import google.auth.credentials
import grpc
import jwt
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.oauth2.credentials import Credentials
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, timestamp_pb2

ROOT_URL = os.environ["TASKCLUSTER_ROOT_URL"]
ADDRESS = ROOT_URL.split("//")[1]
TOKEN = "%s:%s" % (os.environ["TASKCLUSTER_CLIENT_ID"], os.environ["TASKCLUSTER_ACCESS_TOKEN"])
VERSIONS = ["v2", "v2beta3", "v2beta2"]
MODULES = {v: importlib.import_module("google.cloud.tasks_" + v) for v in VERSIONS}
TRANSPORTS = ["grpc", "grpc_asyncio", "rest"]
# Everything but a hang is over long before.
PATIENCE = 30
EMAIL = "sender@example.com"


def ok(step):
    print("ok " + step, flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def holds(truth, said):
    assert truth, said


# === the clients ===


class Api:
    """One version over one transport. Calls are made by name, with a dict as the request."""

    loop = asyncio.new_event_loop()

    def __init__(self, version, transport, token=TOKEN):
        self.version, self.transport = version, transport
        self.called = set()
        self.module = MODULES[version]
        self.metadata = [("authorization", "Bearer " + token)] if token else []
        services = importlib.import_module(
            "google.cloud.tasks_%s.services.cloud_tasks.transports" % version
        )
        if transport == "grpc":
            wire = services.CloudTasksGrpcTransport(channel=grpc.insecure_channel(ADDRESS))
            self.client = self.module.CloudTasksClient(transport=wire)
        elif transport == "grpc_asyncio":
            asyncio.set_event_loop(self.loop)

            async def connect():
                wire = services.CloudTasksGrpcAsyncIOTransport(
                    channel=grpc.aio.insecure_channel(ADDRESS)
                )
                return self.module.CloudTasksAsyncClient(transport=wire)

            self.client = self.loop.run_until_complete(connect())
        else:
            self.metadata = []
            credentials = (
                Credentials(token=token)
                if token
                else google.auth.credentials.AnonymousCredentials()
            )
            self.client = self.module.CloudTasksClient(
                transport="rest",
                credentials=credentials,
                client_options=ClientOptions(api_endpoint=ROOT_URL),
            )

    def __str__(self):
        return "%s over %s" % (self.version, self.transport)

    def __getattr__(self, name):
        method = getattr(self.client, name)

        def call(**request):
            more = {"metadata": self.metadata, "timeout": PATIENCE}
            # Services that are mixed in take the request of their own package, and by its place.
            if name in MIXED_IN:
                ask = functools.partial(method, request, **more)
            else:
                ask = functools.partial(method, request=request, **more)
            if self.transport != "grpc_asyncio":
                answer = ask()
                self.called.add(name)
                return answer

            async def run():
                answer = await ask()
                self.called.add(name)
                if hasattr(answer, "pages"):
                    return AsyncPages([page async for page in answer.pages])
                return answer

            return self.loop.run_until_complete(run())

        return call

    def methods(self):
        """What the client can ask of a server: such calls take metadata."""
        members = inspect.getmembers(type(self.client), inspect.isfunction)
        return [n for n, it in members if "metadata" in inspect.signature(it).parameters]

    def has(self, name):
        return hasattr(self.client, name)

    def close(self):
        if self.transport == "grpc_asyncio":
            self.loop.run_until_complete(self.client.transport.close())
        else:
            self.client.transport.close()


MIXED_IN = ["list_locations", "get_location", "get_operation"]


class AsyncPages:
    def __init__(self, pages):
        self.pages = pages

    def __iter__(self):
        for page in self.pages:
            yield from getattr(page, "queues", None) or getattr(page, "tasks", [])


def refused(kind, message, call, **request):
    """Calls, expects this error, and returns its details."""
    try:
        answer = call(**request)
    except exceptions.GoogleAPICallError as error:
        # Over REST the client knows errors by their HTTP status, which says less.
        code = error.grpc_status_code
        if isinstance(error.response, requests.Response):
            code = grpc.StatusCode[error.response.json()["error"]["status"]]
        equal((code, error.message), (kind.grpc_status_code, error.message))
        if message is not None:
            holds(message in str(error.message), "%r is not in %r" % (message, error.message))
        return error
    raise AssertionError("expected %s, but it was answered: %r" % (kind.__name__, answer))


# === the handler of tasks ===


class Handler(BaseHTTPRequestHandler):
    """Answers with the statuses it is told for a path, the last of them again and again."""

    protocol_version = "HTTP/1.1"
    statuses = {}
    seen = {}

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = self.path.split("?")[0]
        record = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body,
            "at": time.time(),
        }
        statuses = self.statuses.setdefault(path, [200])
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        self.seen.setdefault(path, channel.Queue()).put(record)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = serve

    def do_HEAD(self):
        self.serve()

    def log_message(self, *_):
        pass


def handler():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_port


HANDLER = handler()


def arrival(path):
    return Handler.seen.setdefault(path, channel.Queue()).get(timeout=PATIENCE)


def arrivals(path):
    return Handler.seen.setdefault(path, channel.Queue()).qsize()


def within_patience(check):
    """Waits until `check` holds; there is nothing here that could be waited for otherwise."""
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


# === steps ===


def fresh():
    return "".join(random.choice(string.ascii_lowercase) for _ in range(12))


class Place:
    """Names for one run of the steps."""

    def __init__(self):
        self.project = "projects/conformance-" + fresh()
        self.parent = self.project + "/locations/us-central1"

    def queue(self, name):
        return "%s/queues/%s" % (self.parent, name)


def definitions():
    """Our definitions say what the client's say, but for what is ours alone."""
    with open(os.environ["CLOUDTASKS_DESCRIPTORS"], "rb") as file:
        ours = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool, theirs = descriptor_pool.DescriptorPool(), descriptor_pool.Default()
    for module in [
        "google.longrunning.operations_pb2",
        "google.cloud.location.locations_pb2",
        "google.iam.v1.policy_pb2",
        "google.iam.v1.iam_policy_pb2",
        "google.rpc.error_details_pb2",
        "google.api.httpbody_pb2",
    ]:
        importlib.import_module(module)
    for file in ours.file:
        pool.Add(file)

    def names(prefix, messages):
        for message in messages:
            name = prefix + "." + message.name
            yield name
            yield from names(name, message.nested_type)

    def fields(message):
        of = {}
        for field in message.fields:
            kind = field.message_type or field.enum_type
            oneof = field.containing_oneof
            of[field.name.rstrip("_")] = (
                field.number,
                field.type,
                kind.full_name if kind else "",
                oneof.name if oneof else "",
                field.has_presence,
            )
        return of

    compared = 0
    for file in ours.file:
        for name in names(file.package, file.message_type):
            try:
                other = theirs.FindMessageTypeByName(name)
            except KeyError:
                continue  # REST alone has it
            mine = fields(pool.FindMessageTypeByName(name))
            for field, said in fields(other).items():
                equal((name, field, mine.get(field)), (name, field, said))
                compared += 1
    holds(compared > 400, "only %d fields were compared" % compared)
    ok("%d fields are defined as the client defines them" % compared)


def queues(api, place):
    beta2 = api.version == "v2beta2"
    rate = "max_tasks_dispatched_per_second" if beta2 else "max_dispatches_per_second"
    concurrent = "max_concurrent_tasks" if beta2 else "max_concurrent_dispatches"
    name = place.queue("main")

    made = api.create_queue(parent=place.parent, queue={"name": name})
    equal((made.name, made.state.name), (name, "RUNNING"))
    equal(getattr(made.rate_limits, rate), 500.0)
    equal((made.rate_limits.max_burst_size, getattr(made.rate_limits, concurrent)), (100, 1000))
    retry = made.retry_config
    equal((retry.max_attempts, retry.max_doublings), (100, 16))
    equal(retry.min_backoff, datetime.timedelta(seconds=0.1))
    equal(retry.max_backoff, datetime.timedelta(hours=1))
    equal(api.get_queue(name=name), made)
    refused(
        exceptions.AlreadyExists,
        "Queue already exists",
        api.create_queue,
        parent=place.parent,
        queue={"name": name},
    )

    masked = api.update_queue(
        queue={"name": name, "rate_limits": {rate: 5, concurrent: 7}},
        update_mask={"paths": ["rate_limits." + rate]},
    )
    equal((getattr(masked.rate_limits, rate), masked.rate_limits.max_burst_size), (5.0, 10))
    equal(getattr(masked.rate_limits, concurrent), 1000)
    whole = api.update_queue(
        queue={"name": name, "retry_config": {"max_attempts": 3}},
        update_mask={"paths": ["retry_config"]},
    )
    equal((whole.retry_config.max_attempts, getattr(whole.rate_limits, rate)), (3, 5.0))
    back = api.update_queue(queue={"name": name})
    equal((back.retry_config.max_attempts, getattr(back.rate_limits, rate)), (100, 500.0))
    other = api.update_queue(queue={"name": place.queue("other")})
    equal(other.state.name, "RUNNING")

    equal(api.pause_queue(name=name).state.name, "PAUSED")
    equal(api.resume_queue(name=name).state.name, "RUNNING")
    holds(not made.purge_time, "never purged")
    holds(api.purge_queue(name=name).purge_time, "purged")

    found = [queue.name for queue in api.list_queues(parent=place.parent)]
    equal(found, [name, place.queue("other")])
    pages = list(api.list_queues(parent=place.parent, page_size=1).pages)
    equal([len(page.queues) for page in pages if page.queues], [1, 1])
    api.pause_queue(name=place.queue("other"))
    paused = api.list_queues(parent=place.parent, filter="state: PAUSED")
    equal([queue.name for queue in paused], [place.queue("other")])
    if api.version != "v2":
        shown = api.get_queue(name=name, read_mask={"paths": ["name", "stats"]})
        equal((shown.name, shown.stats.tasks_count), (name, 0))
        holds("rate_limits" not in shown, "only what the mask names")
        holds("stats" not in api.get_queue(name=name), "figures only when asked for")
    api.delete_queue(name=place.queue("other"))
    refused(
        exceptions.NotFound,
        "Queue does not exist.",
        api.get_queue,
        name=place.queue("other"),
    )
    refused(
        exceptions.NotFound,
        "Requested entity was not found.",
        api.delete_queue,
        name=place.queue("other"),
    )
    ok("%s: queues" % api)


def target(api, place):
    """The http target of a queue, with every field set and presence kept."""
    name = place.queue("target")
    given = {
        "uri_override": {
            "scheme": "HTTP",
            "host": "127.0.0.1",
            "port": 8080,
            "path_override": {},
            "query_override": {"query_params": "a=b"},
            "uri_override_enforce_mode": "IF_NOT_EXISTS",
        },
        "http_method": "PUT",
        "header_overrides": [{"header": {"key": "X-A", "value": "b"}}],
        "oidc_token": {"service_account_email": EMAIL, "audience": "me"},
    }
    made = api.create_queue(parent=place.parent, queue={"name": name, "http_target": given})
    equal(made.http_target, api.module.types.HttpTarget(given))
    changed = api.update_queue(
        queue={"name": name, "http_target": {"uri_override": {"host": "localhost"}}},
        update_mask={"paths": ["http_target.uri_override"]},
    )
    over = changed.http_target.uri_override
    equal((over.host, "port" in over, "path_override" in over), ("localhost", False, False))
    equal(changed.http_target.http_method.name, "PUT")
    ok("%s: http targets" % api)


def iam(api, place):
    name = place.queue("main")
    empty = api.get_iam_policy(resource=name)
    equal((empty.etag, len(empty.bindings)), (b"\x00 \x01", 0))
    binding = {"role": "roles/cloudtasks.viewer", "members": ["user:b", "user:a", "user:a"]}
    first = api.set_iam_policy(resource=name, policy={"bindings": [binding]})
    equal(list(first.bindings[0].members), ["user:a", "user:b"])
    equal(api.get_iam_policy(resource=name), first)
    second = api.set_iam_policy(resource=name, policy={"etag": first.etag})
    holds(second.etag != first.etag, "every policy has an etag of its own")
    refused(
        exceptions.Aborted,
        "There were concurrent policy changes.",
        api.set_iam_policy,
        resource=name,
        policy={"etag": first.etag},
    )
    asked = ["cloudtasks.tasks.create", "cloudtasks.queues.get"]
    held = api.test_iam_permissions(resource=name, permissions=asked)
    equal(list(held.permissions), asked)
    none = api.test_iam_permissions(resource=place.queue("missing"), permissions=asked)
    equal(list(none.permissions), [])
    refused(
        exceptions.InvalidArgument,
        None,
        api.test_iam_permissions,
        resource=name,
        permissions=["cloudtasks.*"],
    )
    ok("%s: IAM" % api)


def waiting_tasks(api, place):
    """Tasks of a paused queue: views, lists, names."""
    view = api.module.types.Task.View
    queue = place.queue("waiting")
    api.create_queue(parent=place.parent, queue={"name": queue})
    api.pause_queue(name=queue)
    task = {
        "http_request": {
            "url": HANDLER + "/waiting",
            "http_method": "PUT",
            "headers": {"X-Mine": "1", "User-Agent": "me", "X-CloudTasks-TaskName": "faked"},
            "body": b"hello",
        }
    }
    made = api.create_task(parent=queue, task=task)
    ident = made.name.rsplit("/", 1)[1]
    holds(ident.isdigit() and len(ident) <= 20, "a generated id: " + ident)
    equal((made.view, made.http_request.body), (view.BASIC, b""))
    equal(dict(made.http_request.headers), {"X-Mine": "1", "User-Agent": "Google-Cloud-Tasks"})
    holds(made.create_time <= made.schedule_time, "created before it is due")
    equal(api.get_task(name=made.name), made)
    full = api.get_task(name=made.name, response_view=view.FULL)
    equal((full.view, full.http_request.body), (view.FULL, b"hello"))

    named = dict(task, name=queue + "/tasks/named")
    created = api.create_task(parent=queue, task=named, response_view=view.FULL)
    equal((created.name, created.http_request.body), (named["name"], b"hello"))
    refused(
        exceptions.AlreadyExists,
        "Requested entity already exists",
        api.create_task,
        parent=queue,
        task=named,
    )
    engine = {
        "app_engine_http_request": {
            "app_engine_routing": {"service": "worker", "version": "v1"},
            "headers": {"User-Agent": "mine"},
        }
    }
    engine["app_engine_http_request"]["payload" if api.version == "v2beta2" else "body"] = b"x"
    sent = api.create_task(parent=queue, task=engine).app_engine_http_request
    host = "v1.worker.%s.us-central1.r.appspot.com" % place.project.split("/")[1]
    equal(sent.app_engine_routing.host, host)
    equal(sent.headers["Content-Type"], "application/octet-stream")
    equal(sent.headers["Content-Length"], "1")
    holds(sent.headers["User-Agent"].startswith("mine AppEngine-Google; (+http"), sent.headers)

    names = {made.name, created.name}
    listed = list(api.list_tasks(parent=queue))
    holds(names <= {task.name for task in listed} and len(listed) == 3, listed)
    pages = list(api.list_tasks(parent=queue, page_size=1, response_view=view.FULL).pages)
    equal(sorted(t.name for page in pages for t in page.tasks), sorted(t.name for t in listed))
    equal([len(page.tasks) for page in pages if page.tasks], [1, 1, 1])

    api.delete_task(name=created.name)
    for call in [api.delete_task, api.run_task]:
        message = "Requested entity was not found."
        refused(exceptions.NotFound, message, call, name=created.name)
    refused(
        exceptions.NotFound,
        "The task no longer exists, though a task with this name existed recently.",
        api.get_task,
        name=created.name,
    )
    refused(
        exceptions.AlreadyExists,
        "The task cannot be created because a task with this name existed too recently.",
        api.create_task,
        parent=queue,
        task=named,
    )
    api.purge_queue(name=queue)
    equal(list(api.list_tasks(parent=queue)), [])
    ok("%s: tasks" % api)


def duration(seconds):
    return duration_pb2.Duration(seconds=seconds)


def batches(api, place):
    if not api.has("batch_create_tasks"):
        return
    queue = place.queue("waiting")

    def request(name):
        task = {"name": "%s/tasks/%s" % (queue, name), "http_request": {"url": HANDLER + "/x"}}
        return {"parent": queue, "task": task}

    requests = [request("batch-1"), request("batch-2")]
    done = api.batch_create_tasks(parent=queue, requests=requests)
    equal([task.name for task in result(api, done).tasks], [r["task"]["name"] for r in requests])
    equal(done.metadata.state.name, "SUCCEEDED")
    partly = api.batch_create_tasks(parent=queue, requests=[requests[0], request("batch-3")])
    equal([task.name[-7:] for task in result(api, partly).tasks], ["batch-3"])
    equal(partly.metadata.state.name, "PARTIALLY_SUCCEEDED")
    equal({i: s.code for i, s in partly.metadata.failed_requests.items()}, {0: 6})

    ident = "3f2b8a76-5d0f-4c3e-9a57-0a1b2c3d4e5f"
    again = [
        api.batch_create_tasks(parent=queue, requests=[request("batch-4")], request_id=ident)
        for _ in range(2)
    ]
    equal(again[0].operation.name, again[1].operation.name)
    equal(len(result(api, again[1]).tasks), 1)
    found = api.get_operation(name=again[0].operation.name)
    equal((found.name, found.done), (again[0].operation.name, True))

    names = ["%s/tasks/batch-%d" % (queue, n) for n in range(1, 5)]
    deleted = api.batch_delete_tasks(parent=queue, names=names)
    result(api, deleted)
    equal(deleted.metadata.state.name, "SUCCEEDED")
    failed = api.batch_delete_tasks(parent=queue, names=names[:2])
    try:
        result(api, failed)
    except exceptions.GoogleAPICallError as error:
        holds("None of the requests succeeded" in str(error), error)
    else:
        raise AssertionError("none of them was there")
    equal(sorted(failed.metadata.failed_requests), [0, 1])
    over = [request("x%d" % n) for n in range(101)]
    refused(exceptions.InvalidArgument, None, api.batch_create_tasks, parent=queue, requests=over)
    ok("%s: batches" % api)


def result(api, operation):
    if api.transport == "grpc_asyncio":
        return api.loop.run_until_complete(operation.result(timeout=PATIENCE))
    return operation.result(timeout=PATIENCE)


def surroundings(api, place):
    """Locations and keys."""
    listed = api.list_locations(name=place.project)
    equal([location.location_id for location in listed.locations], ["us-central1"])
    equal(listed.locations[0].labels["cloud.googleapis.com/region"], "us-central1")
    one = api.get_location(name=place.parent)
    equal((one.name, one.location_id), (place.parent, "us-central1"))
    if api.has("get_cmek_config"):
        name = place.parent + "/cmekConfig"
        equal(api.get_cmek_config(name=name).name, name)
        key = place.parent + "/keyRings/r/cryptoKeys/k"
        api.update_cmek_config(cmek_config={"name": name, "kms_key": key})
        equal(api.get_cmek_config(name=name).kms_key, key)
        api.update_cmek_config(cmek_config={"name": name}, update_mask={"paths": ["kms_key"]})
        equal(api.get_cmek_config(name=name).kms_key, "")
    ok("%s: locations and keys" % api)


def pull(api, place):
    queue = place.queue("pull")
    if api.version == "v2":
        return
    if api.version == "v2beta3":
        made = api.create_queue(parent=place.parent, queue={"name": queue, "type_": "PULL"})
        equal(made.type_.name, "PULL")
        payload = {"pull_message": {"payload": b"x"}}
        for task in [payload, {"http_request": {"url": HANDLER}}]:
            refused(exceptions.InvalidArgument, None, api.create_task, parent=queue, task=task)
        # The name by which this client calls the field, which it cannot send as JSON.
        path = "type" if api.transport == "rest" else "type_"
        equal(api.get_queue(name=queue, read_mask={"paths": [path]}).type_.name, "PULL")
        ok("%s: a pull queue is seen" % api)
        return
    view = api.module.types.Task.View
    made = api.create_queue(parent=place.parent, queue={"name": queue, "pull_target": {}})
    holds("pull_target" in made, made)
    equal(made.rate_limits.max_concurrent_tasks, -1)
    for payload, tag in [(b"1", "a"), (b"2", "b"), (b"3", "a"), (b"4", "")]:
        task = {"pull_message": {"payload": payload, "tag": tag}}
        api.create_task(parent=queue, task=task)
    lease = {"parent": queue, "max_tasks": 10, "lease_duration": duration(60)}
    full = dict(lease, response_view=view.FULL)
    oldest = api.lease_tasks(**dict(full, filter="tag_function=oldest_tag()")).tasks
    equal([task.pull_message.payload for task in oldest], [b"1", b"3"])
    equal({task.status.attempt_dispatch_count for task in oldest}, {1})
    equal(api.lease_tasks(**dict(lease, filter="tag=a")).tasks, [])
    tagged = api.lease_tasks(**dict(lease, filter="tag=b")).tasks
    equal([task.pull_message.payload for task in tagged], [b""])
    rest = api.lease_tasks(**full).tasks
    equal([task.pull_message.payload for task in rest], [b"4"])

    first, second = oldest
    renewed = api.renew_lease(
        name=first.name, schedule_time=first.schedule_time, lease_duration=duration(120)
    )
    holds(renewed.schedule_time > first.schedule_time, renewed)
    stale = {"name": first.name, "schedule_time": first.schedule_time}
    refused(exceptions.FailedPrecondition, None, api.acknowledge_task, **stale)
    api.acknowledge_task(name=first.name, schedule_time=renewed.schedule_time)
    refused(exceptions.NotFound, None, api.acknowledge_task, **stale)
    given_back = api.cancel_lease(name=second.name, schedule_time=second.schedule_time)
    holds(given_back.schedule_time < second.schedule_time, given_back)
    again = api.lease_tasks(**lease).tasks
    equal([task.name for task in again], [second.name])
    refused(exceptions.FailedPrecondition, None, api.run_task, name=second.name)
    api.pause_queue(name=queue)
    refused(exceptions.FailedPrecondition, None, api.lease_tasks, **lease)
    for request in [dict(lease, max_tasks=0), dict(lease, max_tasks=1001)]:
        refused(exceptions.InvalidArgument, None, api.lease_tasks, **request)
    refused(exceptions.InvalidArgument, None, api.lease_tasks, **dict(lease, filter="x=y"))
    missing = dict(lease, parent=place.queue("missing"))
    refused(exceptions.NotFound, "Queue does not exist.", api.lease_tasks, **missing)
    push = dict(lease, parent=place.queue("main"))
    refused(exceptions.FailedPrecondition, None, api.lease_tasks, **push)
    ok("%s: pull queues" % api)


def upload(api, place):
    if api.version != "v2beta2":
        return
    if api.transport == "rest":
        # This method has no path of its version, so the client cannot send it.
        try:
            api.upload_queue_yaml(app_id="a", http_body={})
        except NotImplementedError:
            api.called.add("upload_queue_yaml")
            return
        raise AssertionError("the client sends it: it is to be tested as the others are")
    text = b"queue:\n- name: from-file\n  rate: 30/m\n- name: pull-file\n  mode: pull\n"
    app = place.project.split("/")[1]
    api.upload_queue_yaml(app_id=app, http_body={"data": text})
    made = api.get_queue(name=place.queue("from-file"))
    equal((made.rate_limits.max_tasks_dispatched_per_second, made.state.name), (0.5, "RUNNING"))
    equal(made.retry_config.unlimited_attempts, True)
    holds("pull_target" in api.get_queue(name=place.queue("pull-file")), "a pull queue")
    api.upload_queue_yaml(app_id=app, http_body={"data": b"queue:\n- name: from-file\n  rate: 0\n"})
    equal(api.get_queue(name=place.queue("from-file")).state.name, "PAUSED")
    equal(api.get_queue(name=place.queue("pull-file")).state.name, "DISABLED")
    refused(
        exceptions.InvalidArgument,
        "rate is required",
        api.upload_queue_yaml,
        app_id=app,
        http_body={"data": b"queue:\n- name: x\n"},
    )
    ok("%s: queue.yaml" % api)


def timestamp(seconds):
    return timestamp_pb2.Timestamp(seconds=seconds)


def mistakes(api, place):
    """What is refused before anything is done, and in which words."""
    beta2 = api.version == "v2beta2"
    rate, concurrent = (
        ("max_tasks_dispatched_per_second", "max_concurrent_tasks")
        if beta2
        else ("max_dispatches_per_second", "max_concurrent_dispatches")
    )
    camel = "".join([part.title() for part in concurrent.split("_")])
    camel = camel[0].lower() + camel[1:]
    name, queue = place.queue("wrong"), place.queue("waiting")

    def limits(**given):
        return {"parent": place.parent, "queue": {"name": name, "rate_limits": given}}

    def retry(**given):
        return {"parent": place.parent, "queue": {"name": name, "retry_config": given}}

    def task(**given):
        return {"parent": queue, "task": dict({"http_request": {"url": HANDLER}}, **given)}

    def http(**given):
        return {"parent": queue, "task": {"http_request": dict({"url": HANDLER}, **given)}}

    attempts = "RetryConfig.maxAttempts must be greater " + ("than 0." if beta2 else "or equal to -1.")
    parent = place.parent
    rows = [
        ("create_queue", limits(**{concurrent: -1}), "RateLimits.%s cannot be negative." % camel),
        (
            "create_queue",
            limits(**{concurrent: 5001}),
            "RateLimits.%s must be less than or equal to 5000." % camel,
        ),
        ("create_queue", limits(**{rate: -1}), "cannot be negative."),
        ("create_queue", limits(**{rate: 501}), "must be less than or equal to 500."),
        ("create_queue", retry(max_attempts=-2), attempts),
        ("create_queue", retry(max_doublings=-1), "RetryConfig.maxDoublings cannot be negative."),
        (
            "create_queue",
            retry(min_backoff=duration(-1)),
            "RetryConfig.minBackoff cannot be negative.",
        ),
        (
            "create_queue",
            retry(max_backoff=duration(-1)),
            "RetryConfig.maxBackoff cannot be negative.",
        ),
        (
            "create_queue",
            retry(min_backoff=duration(9), max_backoff=duration(3)),
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ),
        (
            "create_queue",
            {"parent": parent, "queue": {"name": "odd"}},
            'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/'
            '<QUEUE_ID>".',
        ),
        (
            "create_queue",
            {"parent": place.project + "/locations/elsewhere", "queue": {"name": name}},
            "%s must begin with %s/locations/elsewhere." % (name, place.project),
        ),
        (
            "list_queues",
            {"parent": place.project + "/locations/-"},
            "Location '-' is not a valid location. Use ListLocations to list valid locations.",
        ),
        ("list_queues", {"parent": parent, "page_token": "x"}, "The page token is invalid."),
        ("list_queues", {"parent": parent, "filter": "state=="}, "The filter is invalid"),
        ("list_queues", {"parent": parent, "page_size": -1}, None),
        (
            "update_queue",
            {"queue": {"name": place.queue("main")}, "update_mask": {"paths": ["odd"]}},
            "Invalid mask for Queue: odd",
        ),
        ("create_task", {"parent": queue, "task": {}}, "Task.payload_type is not set."),
        (
            "create_task",
            task(name=queue + "/tasks/a.b"),
            'Task ID "a.b" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or '
            "underscores (_). Task ID must between 1 and 500 characters.",
        ),
        (
            "create_task",
            task(name="odd"),
            'Task name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/'
            '<QUEUE_ID>/tasks/<TASK_ID>"',
        ),
        (
            "create_task",
            task(name=place.queue("main") + "/tasks/a"),
            "The queue name from request ('%s') must be the same as the queue name in the named "
            "task ('%s')." % (queue, place.queue("main")),
        ),
        ("create_task", http(url=""), "HttpRequest.url is required."),
        (
            "create_task",
            http(url="ftp://a"),
            "HttpTarget.url must start with 'http://' or 'https://'.",
        ),
        ("create_task", http(http_method="GET", body=b"x"), "HttpRequest.body can only be set"),
        ("create_task", http(headers={"a b": "c"}), "Header name"),
        ("create_task", http(headers={"a": "c" * 81920}), "80 KB"),
        ("create_task", http(url="http://a/" + "x" * 2083), "2083"),
        (
            "create_task",
            task(schedule_time=timestamp(4102444800)),
            "The Task.scheduleTime, 2099-12-31T16:00:00-08:00, is too far in the future. Schedule "
            "time must be no more than 720h in the future.",
        ),
        ("create_task", http(body=b"x" * 1048570), "Task size too large"),
        ("get_task", {"name": "odd"}, "Invalid resource field value in the request."),
        ("delete_task", {"name": queue + "/tasks/"}, "Invalid resource field value"),
    ]
    if not beta2:
        most = {"dispatch_deadline": duration(1801)}
        rows += [
            ("create_task", task(dispatch_deadline=duration(14)), "[15s, 30m]."),
            (
                "create_task",
                task(**most),
                "Task.dispatchDeadline must be between [15s, 30m].",
            ),
            (
                "create_task",
                {
                    "parent": queue,
                    "task": {"app_engine_http_request": {}, "dispatch_deadline": duration(86416)},
                },
                "Task.dispatchDeadline must be between [15s, 24h15s].",
            ),
        ]
    if api.version == "v2":
        burst = dict(limits(max_burst_size=-1))
        burst["queue"]["name"] = place.queue("burst")
        equal(api.create_queue(**burst).rate_limits.max_burst_size, 100)
    else:
        wrong_ttl = {"parent": parent, "queue": {"name": name, "task_ttl": duration(1)}}
        rows += [
            ("create_queue", limits(max_burst_size=-1), "RateLimits.maxBurstSize cannot be"),
            ("create_queue", limits(max_burst_size=501), "must be less than or equal to 500."),
            (
                "create_queue",
                wrong_ttl,
                "Queue.taskTtl must be between [864000s, 315360000s].",
            ),
        ]
    if api.transport == "rest":
        # The client itself refuses what fits no path.
        rows = [row for row in rows if "Invalid resource field value" not in (row[2] or "")]
    for method, request, message in rows:
        refused(exceptions.InvalidArgument, message, getattr(api, method), **request)
    missing = place.queue("missing")
    text = "Queue does not exist. If you just created the queue, wait at least a minute for the"
    for method, request in [
        ("get_queue", {"name": missing}),
        ("pause_queue", {"name": missing}),
        ("resume_queue", {"name": missing}),
        ("purge_queue", {"name": missing}),
        ("list_tasks", {"parent": missing}),
        ("create_task", {"parent": missing, "task": {"http_request": {"url": HANDLER}}}),
        ("get_task", {"name": missing + "/tasks/a"}),
        ("get_iam_policy", {"resource": missing}),
    ]:
        refused(exceptions.NotFound, text, getattr(api, method), **request)

    for method, request, description in [
        ("create_task", task(name=queue + "/tasks/a.b"), "Definition of task ID"),
        ("create_queue", {"parent": parent, "queue": {"name": "odd"}}, "Definition of queue name"),
    ]:
        helped = refused(exceptions.InvalidArgument, None, getattr(api, method), **request)
        (detail,) = helped.details
        (link,) = detail["links"] if isinstance(detail, dict) else detail.links
        equal(link["description"] if isinstance(link, dict) else link.description, description)
    ok("%s: %d mistakes" % (api, len(rows)))


def strangers(api):
    """Who does not say who it is, or lies, or may not."""
    place = Place()
    method = "google.cloud.tasks.%s.CloudTasks.ListQueues" % api.version
    if api.transport == "rest":
        # The client would try to get better credentials, and fail.
        url = "%s/%s/%s/queues" % (ROOT_URL, api.version, place.parent)
        try:
            urllib.request.urlopen(url)
        except urllib.error.HTTPError as error:
            said = json.load(error)["error"]
            equal((error.code, said["code"], said["status"]), (401, 401, "UNAUTHENTICATED"))
            (detail,) = said["details"]
            equal(detail["@type"], "type.googleapis.com/google.rpc.ErrorInfo")
            equal((detail["reason"], detail["metadata"]["method"]), ("CREDENTIALS_MISSING", method))
        else:
            raise AssertionError("anybody can list queues")
        ok("%s: strangers are told to say who they are" % api)
        return
    nobody = Api(api.version, api.transport, token=None)
    error = refused(exceptions.Unauthenticated, None, nobody.list_queues, parent=place.parent)
    equal((error.reason, error.domain), ("CREDENTIALS_MISSING", "googleapis.com"))
    equal(error.metadata["method"], method)
    liar = Api(api.version, api.transport, token=TOKEN + "x")
    refused(exceptions.Unauthenticated, None, liar.list_queues, parent=place.parent)
    for other in [nobody, liar]:
        other.close()
    ok("%s: strangers are told to say who they are" % api)


def dispatch(api, place):
    """Tasks reach their handler with what belongs to them, and are tried again."""
    queue = place.queue("sent")
    retry = {"min_backoff": duration_pb2.Duration(nanos=100000000), "max_attempts": 5}
    api.create_queue(parent=place.parent, queue={"name": queue, "retry_config": retry})
    path = "/" + fresh()
    Handler.statuses[path] = [503, 404, 200]
    made = api.create_task(
        parent=queue,
        task={
            "http_request": {
                "url": HANDLER + path + "?q=1",
                "http_method": "PATCH",
                "headers": {"X-Mine": "1", "Content-Type": "text/plain"},
                "body": b"\x00hello",
            }
        },
    )
    ident = made.name.rsplit("/", 1)[1]
    seen = [arrival(path) for _ in range(3)]
    for record in seen:
        equal((record["method"], record["path"]), ("PATCH", path + "?q=1"))
        equal(record["body"], b"\x00hello")
        headers = record["headers"]
        equal((headers["x-mine"], headers["content-type"]), ("1", "text/plain"))
        equal(headers["user-agent"], "Google-Cloud-Tasks")
        equal(headers["x-cloudtasks-queuename"], "sent")
        equal(headers["x-cloudtasks-taskname"], ident)
        whole, fraction = headers["x-cloudtasks-tasketa"].split(".")
        holds(whole.isdigit() and len(fraction) == 6, headers["x-cloudtasks-tasketa"])

    def column(name):
        return [record["headers"].get("x-cloudtasks-" + name) for record in seen]

    equal(column("taskretrycount"), ["0", "1", "2"])
    equal(column("taskexecutioncount"), ["0", "0", "1"])
    equal(column("taskpreviousresponse"), [None, "503", "404"])
    equal(column("taskretryreason"), [None, "", ""])
    gaps = [b["at"] - a["at"] for a, b in zip(seen, seen[1:])]
    holds(gaps[0] >= 0.09 and gaps[1] >= 0.19, "backoff: %r" % gaps)
    within_patience(lambda: not list(api.list_tasks(parent=queue)))
    refused(exceptions.NotFound, "The task no longer exists", api.get_task, name=made.name)

    failing = "/" + fresh()
    Handler.statuses[failing] = [500]
    api.pause_queue(name=queue)
    stuck = api.create_task(parent=queue, task={"http_request": {"url": HANDLER + failing}})
    ran = api.run_task(name=stuck.name)
    progress = ran.status if api.version == "v2beta2" else ran
    count = "attempt_dispatch_count" if api.version == "v2beta2" else "dispatch_count"
    last = "last_attempt_status" if api.version == "v2beta2" else "last_attempt"
    equal(getattr(progress, count), 1)
    holds(not getattr(progress, last).response_time, "the answer is not waited for")
    arrival(failing)

    def attempt():
        task = api.get_task(name=stuck.name)
        return getattr(task.status if api.version == "v2beta2" else task, last)

    within_patience(lambda: attempt().response_time)
    status = attempt().response_status
    equal((status.code, status.message), (13, "INTERNAL(13): HTTP status code 500"))
    api.delete_task(name=stuck.name)
    api.resume_queue(name=queue)
    ok("%s: tasks are sent, and sent again" % api)


def tokens(api, place):
    """A handler can verify whose task it is."""
    queue = place.queue("sent")
    path = "/" + fresh()
    request = {
        "url": HANDLER + path,
        "oidc_token": {"service_account_email": EMAIL},
    }
    api.create_task(parent=queue, task={"http_request": request})
    scheme, token = arrival(path)["headers"]["authorization"].split(" ")
    equal(scheme, "Bearer")
    with urllib.request.urlopen(ROOT_URL + "/.well-known/openid-configuration") as answer:
        discovery = json.load(answer)
    holds("RS256" in discovery["id_token_signing_alg_values_supported"], discovery)
    key = jwt.PyJWKClient(discovery["jwks_uri"]).get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        audience=HANDLER + path,
        issuer=discovery["issuer"],
        options={"require": ["exp", "iat", "aud", "iss", "sub"]},
    )
    equal((claims["email"], claims["email_verified"]), (EMAIL, True))
    try:
        jwt.decode(token, key, algorithms=["RS256"], audience="somebody else")
    except jwt.InvalidAudienceError:
        pass
    else:
        raise AssertionError("the token is for another audience")
    ok("%s: tokens are verified" % api)


def complete(api):
    """No method is forgotten, and none is new."""
    known = api.methods()
    holds(len(known) > 20, "only %d methods were found" % len(known))
    equal([name for name in known if name not in api.called], [])
    ok("%s: all %d methods were called" % (api, len(known)))


def main():
    definitions()
    for version in VERSIONS:
        for transport in TRANSPORTS:
            api, place = Api(version, transport), Place()
            for step in [
                queues,
                target,
                iam,
                waiting_tasks,
                batches,
                surroundings,
                pull,
                upload,
                mistakes,
                dispatch,
                tokens,
            ]:
                step(api, place)
            complete(api)
            strangers(api)
            api.close()
    print("done", flush=True)


if __name__ == "__main__":
    main()
