// Cloud Tasks as users of Google's JavaScript client see it: every method of every version, over
// gRPC and over REST, with the unmodified client.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES.
// The client itself says which methods there are; one that no step called fails the run. Prints one
// line `ok <step>` a step; ends with an error at the first step that fails.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const tasks = require("@google-cloud/tasks");
const { OAuth2Client } = require("google-auth-library");
const grpc = require("@grpc/grpc-js");
const jose = await import(pathToFileURL(require.resolve("jose")).href);

const ROOT_URL = new URL(process.env.TASKCLUSTER_ROOT_URL);
const TOKEN = `${process.env.TASKCLUSTER_CLIENT_ID}:${process.env.TASKCLUSTER_ACCESS_TOKEN}`;
const VERSIONS = ["v2", "v2beta3", "v2beta2"];
// Everything but a hang is over long before.
const PATIENCE = 30_000;
const EMAIL = "sender@example.com";

const ok = (step) => console.log(`ok ${step}`);

// === the clients ===

function client(version, transport, token) {
  const common = { apiEndpoint: ROOT_URL.hostname, port: Number(ROOT_URL.port), projectId: "p" };
  const { CloudTasksClient } = tasks[version];
  if (transport === "grpc") {
    // Channels without TLS take no credentials, so these are put into each call.
    const authorized = (call) => {
      call.metadata.set("authorization", `Bearer ${token}`);
      return call;
    };
    return new CloudTasksClient({
      ...common,
      sslCreds: grpc.credentials.createInsecure(),
      "grpc.callInvocationTransformer": authorized,
    });
  }
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: token });
  return new CloudTasksClient({ ...common, fallback: "rest", protocol: "http", authClient });
}

// What a client does for itself; it also makes names of resources and takes them apart.
const UPKEEP = new Set(["constructor", "initialize", "getProjectId", "close"]);

// The methods of a service that a client has, in all the forms in which it has them.
function methodsOf(made) {
  const members = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(made)));
  return members
    .filter(([name, { value }]) => typeof value === "function" && !UPKEEP.has(name))
    .map(([name]) => name)
    .filter((name) => !/Path$|^match.*Name$/.test(name));
}

// Calls a method and answers with its response, or with all that its pages have.
function caller(version, transport, token = TOKEN) {
  const made = client(version, transport, token);
  const called = new Set();
  const call = async (method, request) => {
    const answered = made[method](request, { timeout: PATIENCE });
    const form = /(Async|Stream)$/.exec(method)?.[0];
    const answer = form ? await everything[form](answered) : await answered;
    called.add(method);
    return form || !Array.isArray(answer) ? answer : answer[0];
  };
  return { version, transport, made, call, called, said: `${version} over ${transport}` };
}

const everything = {
  async Async(iterable) {
    const found = [];
    for await (const one of iterable) found.push(one);
    return found;
  },
  // Begins to flow only for those who listen.
  Stream: (stream) =>
    new Promise((resolve, reject) => {
      const found = [];
      stream.on("data", (one) => found.push(one)).on("error", reject).on("end", () => resolve(found));
    }),
};

const {
  INVALID_ARGUMENT,
  NOT_FOUND,
  ALREADY_EXISTS,
  FAILED_PRECONDITION,
  ABORTED,
  UNIMPLEMENTED,
  UNAUTHENTICATED,
} = grpc.status;

// Calls, expects this error, and returns its details.
async function refused(code, message, api, method, request) {
  const error = await api.call(method, request).then(
    () => assert.fail(`${method} was answered`),
    (error) => error,
  );
  if (api.transport === "rest") {
    // The client hands out the HTTP status and, as its text, the whole body.
    const said = JSON.parse(error.message).error;
    assert.deepEqual([said.status, said.code], [grpc.status[code], error.code]);
    assert.ok(said.message.includes(message), `${message} is not in ${said.message}`);
    return said.details;
  }
  assert.equal(error.code, code, error.stack);
  assert.ok(error.message.includes(message), `${message} is not in ${error.message}`);
  return error.statusDetails;
}

// === the handler of tasks ===

const statuses = new Map();
const seen = new Map();

function arrivals(path) {
  if (!seen.has(path)) seen.set(path, { records: [], waiting: [] });
  return seen.get(path);
}

function arrival(path) {
  const { records, waiting } = arrivals(path);
  if (records.length > 0) return Promise.resolve(records.shift());
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`nothing arrived at ${path}`)), PATIENCE);
    waiting.push((record) => {
      clearTimeout(late);
      resolve(record);
    });
  });
}

const handler = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const { method, url, headers } = request;
  const record = { method, url, headers, body: Buffer.concat(parts).toString() };
  const path = url.split("?")[0];
  const left = statuses.get(path) ?? [200];
  response.writeHead(left.length > 1 ? left.shift() : left[0], { "content-length": 0 }).end();
  const { records, waiting } = arrivals(path);
  const first = waiting.shift();
  if (first) first(record);
  else records.push(record);
});
// Idle connections stay open: one that is closed just when a task is sent over it would count as an
// attempt.
handler.keepAliveTimeout = 0;
await new Promise((resolve) => handler.listen(0, "127.0.0.1", resolve));
handler.unref();
const HANDLER = `http://127.0.0.1:${handler.address().port}`;

// === steps ===

const fresh = () => randomBytes(6).toString("hex");
const seconds = (count) => ({ seconds: count, nanos: 0 });

async function queues(api, place) {
  const { call, version } = api;
  const name = place.queue("main");
  const beta2 = version === "v2beta2";
  const rate = beta2 ? "maxTasksDispatchedPerSecond" : "maxDispatchesPerSecond";
  const made = await call("createQueue", { parent: place.parent, queue: { name } });
  assert.equal(made.name, name);
  assert.equal(made.state, "RUNNING");
  assert.equal(made.rateLimits[rate], 500);
  assert.equal(made.rateLimits.maxBurstSize, 100);
  assert.equal(made.retryConfig.maxDoublings, 16);
  await refused(ALREADY_EXISTS, "Queue already exists", api, "createQueue", {
    parent: place.parent,
    queue: { name },
  });
  const path = beta2 ? "rate_limits.max_tasks_dispatched_per_second" : "rate_limits.max_dispatches_per_second";
  const changed = await call("updateQueue", {
    queue: { name, rateLimits: { [rate]: 5 } },
    updateMask: { paths: [path] },
  });
  assert.equal(changed.rateLimits[rate], 5);
  assert.equal(changed.rateLimits.maxBurstSize, 10);
  assert.equal((await call("pauseQueue", { name })).state, "PAUSED");
  const listed = await call("listQueues", { parent: place.parent, filter: "state=PAUSED" });
  assert.deepEqual(listed.map((queue) => queue.name), [name]);
  assert.equal((await call("resumeQueue", { name })).state, "RUNNING");
  assert.ok((await call("purgeQueue", { name })).purgeTime);
  assert.equal((await call("getQueue", { name })).name, name);
  await call("createQueue", { parent: place.parent, queue: { name: place.queue("other") } });
  for (const form of ["listQueuesAsync", "listQueuesStream"]) {
    const paged = await call(form, { parent: place.parent, pageSize: 1 });
    assert.deepEqual(paged.map((queue) => queue.name), [name, place.queue("other")]);
  }
  await call("deleteQueue", { name: place.queue("other") });
  await refused(NOT_FOUND, "Queue does not exist.", api, "getQueue", { name: place.queue("other") });
  await refused(INVALID_ARGUMENT, "cannot be negative.", api, "createQueue", {
    parent: place.parent,
    queue: { name: place.queue("wrong"), retryConfig: { maxDoublings: -1 } },
  });
  ok(`${api.said}: queues`);
}

async function iam(api, place) {
  const { call } = api;
  const resource = place.queue("main");
  const empty = await call("getIamPolicy", { resource });
  assert.equal(Buffer.from(empty.etag, "base64").toString("hex"), "002001");
  const bindings = [{ role: "roles/cloudtasks.viewer", members: ["user:b", "user:a"] }];
  const first = await call("setIamPolicy", { resource, policy: { bindings } });
  assert.deepEqual(first.bindings[0].members, ["user:a", "user:b"]);
  await call("setIamPolicy", { resource, policy: { etag: first.etag } });
  await refused(ABORTED, "There were concurrent policy changes.", api, "setIamPolicy", {
    resource,
    policy: { etag: first.etag },
  });
  const permissions = ["cloudtasks.tasks.create"];
  const held = await call("testIamPermissions", { resource, permissions });
  assert.deepEqual(held.permissions, permissions);
  ok(`${api.said}: IAM`);
}

async function waitingTasks(api, place) {
  const { call } = api;
  const queue = place.queue("waiting");
  await call("createQueue", { parent: place.parent, queue: { name: queue } });
  await call("pauseQueue", { name: queue });
  const task = {
    name: `${queue}/tasks/named`,
    httpRequest: { url: `${HANDLER}/x`, httpMethod: "PUT", body: Buffer.from("hello").toString("base64") },
    scheduleTime: seconds(Math.floor(Date.now() / 1000) + 3600),
  };
  const made = await call("createTask", { parent: queue, task, responseView: "FULL" });
  assert.equal(made.view, "FULL");
  assert.equal(Buffer.from(made.httpRequest.body, "base64").toString(), "hello");
  assert.equal(made.httpRequest.headers["User-Agent"], "Google-Cloud-Tasks");
  const basic = await call("getTask", { name: made.name });
  assert.equal(basic.httpRequest.body.length, 0);
  await refused(ALREADY_EXISTS, "Requested entity already exists", api, "createTask", { parent: queue, task });
  for (const form of ["listTasks", "listTasksAsync", "listTasksStream"]) {
    const listed = await call(form, { parent: queue });
    assert.deepEqual(listed.map((one) => one.name), [made.name]);
  }
  await call("deleteTask", { name: made.name });
  await refused(NOT_FOUND, "The task no longer exists", api, "getTask", { name: made.name });
  await refused(NOT_FOUND, "Requested entity was not found.", api, "deleteTask", { name: made.name });
  await refused(INVALID_ARGUMENT, "Task.payload_type is not set.", api, "createTask", { parent: queue, task: {} });
  ok(`${api.said}: tasks`);
}

async function batches(api, place) {
  if (typeof api.made.batchCreateTasks !== "function") return;
  const { call } = api;
  const queue = place.queue("waiting");
  const request = (id) => ({
    parent: queue,
    task: { name: `${queue}/tasks/${id}`, httpRequest: { url: `${HANDLER}/x` } },
  });
  const created = await call("batchCreateTasks", { parent: queue, requests: [request("a"), request("b")] });
  const [response] = await created.promise();
  assert.equal(response.tasks.length, 2);
  const again = await call("checkBatchCreateTasksProgress", created.name);
  assert.deepEqual(again.result, response);
  const names = response.tasks.map((task) => task.name);
  const deleted = await call("batchDeleteTasks", { parent: queue, names });
  await deleted.promise();
  const { done, metadata } = await call("checkBatchDeleteTasksProgress", deleted.name);
  const { State } = tasks.protos.google.cloud.tasks[api.version].BatchDeleteTasksMetadata;
  assert.deepEqual([done, metadata.state], [true, State.SUCCEEDED]);
  assert.equal((await call("getOperation", { name: deleted.name })).name, deleted.name);
  const failed = await call("batchDeleteTasks", { parent: queue, names });
  await assert.rejects(failed.promise(), /None of the requests succeeded/);
  await noSuchOperations(api, place.parent, deleted.name);
  ok(`${api.said}: batches`);
}

// What the client takes from the definitions of all operations, and Cloud Tasks does not have.
async function noSuchOperations(api, parent, name) {
  const requests = {
    listOperationsAsync: { name: parent, filter: "" },
    cancelOperation: { name },
    deleteOperation: { name },
  };
  for (const [method, request] of Object.entries(requests)) {
    if (api.transport === "grpc") {
      await refused(UNIMPLEMENTED, "", api, method, request);
      api.called.add(method);
    } else {
      await unsendable(api, method, request);
    }
  }
}

// A method without a path, at which the client fails before it sends anything.
async function unsendable(api, method, request) {
  await assert.rejects(api.call(method, request), (error) => error.response === undefined);
  api.called.add(method);
}

async function surroundings(api, place) {
  const { call } = api;
  assert.equal((await call("getLocation", { name: place.parent })).locationId, "us-central1");
  const listed = await call("listLocationsAsync", { name: place.project });
  assert.deepEqual(listed.map((location) => location.name), [place.parent]);
  if (typeof api.made.getCmekConfig === "function") {
    const name = `${place.parent}/cmekConfig`;
    const kmsKey = `${place.parent}/keyRings/r/cryptoKeys/k`;
    await call("updateCmekConfig", { cmekConfig: { name, kmsKey }, updateMask: { paths: ["kms_key"] } });
    assert.equal((await call("getCmekConfig", { name })).kmsKey, kmsKey);
  }
  ok(`${api.said}: locations and keys`);
}

async function upload(api, place) {
  if (typeof api.made.uploadQueueYaml !== "function") return;
  const data = Buffer.from("queue:\n- name: from-file\n  rate: 30/m\n").toString("base64");
  const request = { appId: place.project.split("/")[1], httpBody: { data } };
  if (api.transport === "rest") {
    return unsendable(api, "uploadQueueYaml", request);
  }
  await api.call("uploadQueueYaml", request);
  const made = await api.call("getQueue", { name: place.queue("from-file") });
  assert.equal(made.rateLimits.maxTasksDispatchedPerSecond, 0.5);
  ok(`${api.said}: queue.yaml`);
}

async function pull(api, place) {
  if (api.version !== "v2beta2") return;
  const { call } = api;
  const queue = place.queue("pull");
  await call("createQueue", { parent: place.parent, queue: { name: queue, pullTarget: {} } });
  const payload = Buffer.from("x").toString("base64");
  for (const tag of ["a", "b"]) {
    await call("createTask", { parent: queue, task: { pullMessage: { payload, tag } } });
  }
  const lease = { parent: queue, maxTasks: 5, leaseDuration: seconds(60), responseView: "FULL" };
  const { tasks: leased } = await call("leaseTasks", { ...lease, filter: "tag=a" });
  assert.deepEqual(leased.map((task) => task.pullMessage.tag), ["a"]);
  const { name, scheduleTime } = leased[0];
  const renewed = await call("renewLease", { name, scheduleTime, leaseDuration: seconds(90) });
  const stale = { name, scheduleTime };
  await refused(FAILED_PRECONDITION, "not leased until this", api, "acknowledgeTask", stale);
  const back = await call("cancelLease", { name, scheduleTime: renewed.scheduleTime });
  assert.equal(back.name, name);
  const { tasks: again } = await call("leaseTasks", lease);
  assert.equal(again.length, 2);
  for (const task of again) {
    await call("acknowledgeTask", { name: task.name, scheduleTime: task.scheduleTime });
  }
  assert.deepEqual(await call("listTasks", { parent: queue }), []);
  ok(`${api.said}: pull queues`);
}

// What errors carry beside their code and text.
async function refusals(api, place) {
  const queue = place.queue("waiting");
  const task = { name: `${queue}/tasks/a.b`, httpRequest: { url: HANDLER } };
  const wrong = { parent: queue, task };
  const [help] = await refused(INVALID_ARGUMENT, 'Task ID "a.b"', api, "createTask", wrong);
  assert.equal(help.links[0].description, "Definition of task ID");

  const liar = caller(api.version, api.transport, `${TOKEN}x`);
  const request = { parent: place.parent };
  const [info] = await refused(UNAUTHENTICATED, "not valid", liar, "listQueues", request);
  assert.deepEqual([info.reason, info.domain], ["ACCESS_TOKEN_INVALID", "googleapis.com"]);
  assert.equal(info.metadata.method, `google.cloud.tasks.${api.version}.CloudTasks.ListQueues`);
  await liar.made.close();
  ok(`${api.said}: refusals carry details`);
}

async function dispatch(api, place) {
  const { call } = api;
  const queue = place.queue("sent");
  const retryConfig = { minBackoff: { seconds: 0, nanos: 100_000_000 } };
  await call("createQueue", { parent: place.parent, queue: { name: queue, retryConfig } });
  const path = `/${fresh()}`;
  statuses.set(path, [500, 200]);
  const body = Buffer.from("hello").toString("base64");
  const httpRequest = { url: HANDLER + path, headers: { "X-Mine": "1" }, body };
  httpRequest.oidcToken = { serviceAccountEmail: EMAIL };
  const made = await call("createTask", { parent: queue, task: { httpRequest } });
  const records = [await arrival(path), await arrival(path)];
  for (const { method, headers, body: received } of records) {
    assert.equal(method, "POST");
    assert.equal(received, "hello");
    assert.equal(headers["x-mine"], "1");
    assert.equal(headers["user-agent"], "Google-Cloud-Tasks");
    assert.equal(headers["x-cloudtasks-queuename"], "sent");
    assert.equal(headers["x-cloudtasks-taskname"], made.name.split("/").pop());
  }
  const column = (name) => records.map(({ headers }) => headers[`x-cloudtasks-${name}`]);
  assert.deepEqual(column("taskretrycount"), ["0", "1"]);
  assert.deepEqual(column("taskpreviousresponse"), [undefined, "500"]);

  const discovery = await (await fetch(new URL("/.well-known/openid-configuration", ROOT_URL))).json();
  const keys = jose.createRemoteJWKSet(new URL(discovery.jwks_uri));
  const token = records[0].headers.authorization.replace(/^Bearer /, "");
  const expected = { issuer: discovery.issuer, audience: HANDLER + path };
  const { payload } = await jose.jwtVerify(token, keys, expected);
  assert.equal(payload.email, EMAIL);
  await assert.rejects(jose.jwtVerify(token, keys, { ...expected, audience: "somebody else" }));

  await call("pauseQueue", { name: queue });
  const forced = `/${fresh()}`;
  const stuck = await call("createTask", { parent: queue, task: { httpRequest: { url: HANDLER + forced } } });
  await call("runTask", { name: stuck.name });
  await arrival(forced);
  ok(`${api.said}: tasks are sent, tokens are verified`);
}

// No method is forgotten, and none is new.
function complete(api) {
  const known = methodsOf(api.made);
  assert.ok(known.length > 20, `only ${known.length} methods were found`);
  assert.deepEqual(known.filter((method) => !api.called.has(method)), []);
  ok(`${api.said}: all ${known.length} methods were called`);
}

for (const version of VERSIONS) {
  for (const transport of ["grpc", "rest"]) {
    const api = caller(version, transport);
    const project = `projects/conformance-${fresh()}`;
    const parent = `${project}/locations/us-central1`;
    const place = { project, parent, queue: (id) => `${parent}/queues/${id}` };
    for (const step of [queues, iam, waitingTasks, batches, surroundings, pull, upload, refusals, dispatch]) {
      await step(api, place);
    }
    complete(api);
    await api.made.close();
  }
}
console.log("done");
process.exit(0);
