// Cloud Tasks as users of Google's JavaScript client see it: every method of every version, over
// gRPC and over REST, with the unmodified client.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES.
// Prints one line `ok <step>` a step; ends with an error at the first step that fails.

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

function client(version, transport) {
  const common = { apiEndpoint: ROOT_URL.hostname, port: Number(ROOT_URL.port), projectId: "p" };
  const { CloudTasksClient } = tasks[version];
  if (transport === "grpc") {
    return new CloudTasksClient({ ...common, sslCreds: grpc.credentials.createInsecure() });
  }
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: TOKEN });
  return new CloudTasksClient({ ...common, fallback: true, protocol: "http", authClient });
}

// Calls a method and answers with its response; over gRPC, credentials go with each call.
function caller(version, transport) {
  const made = client(version, transport);
  const headers = { authorization: `Bearer ${TOKEN}` };
  const otherArgs = transport === "grpc" ? { headers } : {};
  const call = async (method, request, more = {}) => {
    const options = { otherArgs, timeout: PATIENCE, ...more };
    const answer = await made[method](request, options);
    return Array.isArray(answer) ? answer[0] : answer;
  };
  return { version, transport, made, call, said: `${version} over ${transport}` };
}

// Codes of google.rpc.Code, which both transports tell.
const [INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED] = [3, 5, 6, 9, 10];

async function refused(code, message, api, method, request) {
  try {
    await api.call(method, request);
  } catch (error) {
    // Over REST the client tells the HTTP status, and of two codes with one status the first.
    const http = { 3: 400, 5: 404, 6: 409, 9: 400, 10: 409 }[code];
    const status = error.statusDetails !== undefined || error.code === code || error.code === http;
    assert.ok(status, `found ${error.code} ${error.message}, expected ${code}`);
    if (api.transport === "grpc") assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(message), `${message} is not in ${error.message}`);
    return error;
  }
  assert.fail(`${method} was answered`);
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
  const paged = [];
  const options = { otherArgs: api.transport === "grpc" ? { headers: { authorization: `Bearer ${TOKEN}` } } : {} };
  for await (const queue of api.made.listQueuesAsync({ parent: place.parent, pageSize: 1 }, options)) {
    paged.push(queue.name);
  }
  assert.deepEqual(paged, [name, place.queue("other")]);
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
  const listed = await call("listTasks", { parent: queue });
  assert.deepEqual(listed.map((one) => one.name), [made.name]);
  await call("deleteTask", { name: made.name });
  await refused(NOT_FOUND, "The task no longer exists", api, "getTask", { name: made.name });
  await refused(NOT_FOUND, "Requested entity was not found.", api, "deleteTask", { name: made.name });
  await refused(INVALID_ARGUMENT, "Task.payload_type is not set.", api, "createTask", { parent: queue, task: {} });
  ok(`${api.said}: tasks`);
}

async function batches(api, place) {
  if (typeof api.made.batchCreateTasks !== "function") return;
  const queue = place.queue("waiting");
  const request = (id) => ({
    parent: queue,
    task: { name: `${queue}/tasks/${id}`, httpRequest: { url: `${HANDLER}/x` } },
  });
  const created = await api.call("batchCreateTasks", { parent: queue, requests: [request("a"), request("b")] });
  const [response] = await created.promise();
  assert.equal(response.tasks.length, 2);
  const names = response.tasks.map((task) => task.name);
  const deleted = await api.call("batchDeleteTasks", { parent: queue, names });
  await deleted.promise();
  const failed = await api.call("batchDeleteTasks", { parent: queue, names });
  await assert.rejects(failed.promise(), /None of the requests succeeded/);
  ok(`${api.said}: batches`);
}

async function surroundings(api, place) {
  const mixed = (method, request) => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    return api.made[method](request, api.transport === "grpc" ? { otherArgs: { headers } } : {});
  };
  const [location] = await mixed("getLocation", { name: place.parent });
  assert.equal(location.locationId, "us-central1");
  if (typeof api.made.getCmekConfig === "function") {
    const name = `${place.parent}/cmekConfig`;
    const kmsKey = `${place.parent}/keyRings/r/cryptoKeys/k`;
    await api.call("updateCmekConfig", { cmekConfig: { name, kmsKey }, updateMask: { paths: ["kms_key"] } });
    assert.equal((await api.call("getCmekConfig", { name })).kmsKey, kmsKey);
  }
  ok(`${api.said}: locations and keys`);
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

for (const version of VERSIONS) {
  for (const transport of ["grpc", "rest"]) {
    const api = caller(version, transport);
    const parent = `projects/conformance-${fresh()}/locations/us-central1`;
    const place = { parent, queue: (id) => `${parent}/queues/${id}` };
    for (const step of [queues, iam, waitingTasks, batches, surroundings, pull, dispatch]) {
      await step(api, place);
    }
    await api.made.close();
  }
}
console.log("done");
process.exit(0);
