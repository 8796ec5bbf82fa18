// What users of the JavaScript client do, run with an unmodified release of it against a server.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES, the
// folder the client is installed in. Prints one line `ok <step>` a step; ends with a stack trace
// at the first step that fails.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const modules = createRequire(path.join(process.env.NODE_MODULES, 'none.js'));
const { default: taskcluster } = await import(
  pathToFileURL(modules.resolve('taskcluster-client'))
);

const rootUrl = process.env.TASKCLUSTER_ROOT_URL;
const root = {
  clientId: process.env.TASKCLUSTER_CLIENT_ID,
  accessToken: process.env.TASKCLUSTER_ACCESS_TOKEN,
};
const workerType = 'w' + crypto.randomBytes(6).toString('hex');
const taskQueueId = `conformance/${workerType}`;
const worker = { workerGroup: 'group', workerId: 'worker' };

// No retries: a server fault must show, not be mended by the second try.
const queueOf = (credentials = {}, more = {}) =>
  new taskcluster.Queue({ rootUrl, credentials, retries: 0, ...more });

const ok = step => console.log(`ok ${step}`);

const definition = (taskGroupId, name, dependencies = [], more = {}) => ({
  taskQueueId,
  schedulerId: 'conformance',
  taskGroupId,
  dependencies,
  created: taskcluster.fromNowJSON('0 seconds'),
  deadline: taskcluster.fromNowJSON('2 hours'),
  expires: taskcluster.fromNowJSON('1 day'),
  payload: { command: ['true'], text: 'Grüße 😀' },
  metadata: {
    name,
    description: 'one task of the conformance graph',
    owner: 'someone@example.com',
    source: 'https://example.com/source',
  },
  ...more,
});

// The call must be refused with this HTTP status and error code, as the client's own error.
const refused = async (statusCode, code, call) => {
  const error = await call.then(
    () => assert.fail(`a call that should be refused with ${statusCode} was accepted`),
    refusal => refusal,
  );
  assert.deepEqual([error.statusCode, error.code], [statusCode, code], error.stack);
  assert.equal(error.body.code, code);
  assert.ok(error.body.message);
};

const claim = async (queue, expected) => {
  const { tasks } = await queue.claimWork(taskQueueId, { ...worker, tasks: 1 });
  assert.deepEqual(tasks.map(claimed => claimed.status.taskId), [expected]);
  return [tasks[0], queueOf(tasks[0].credentials)];
};

const state = async (queue, taskId) => (await queue.status(taskId)).status.state;

const createGraph = async queue => {
  const [build, test, deploy] = [1, 2, 3].map(() => taskcluster.slugid());
  const plan = [
    [build, 'build', []],
    [test, 'test', [build]],
    [deploy, 'deploy', [build, test]],
  ];
  const definitions = {};
  for (const [taskId, name, needs] of plan) {
    definitions[taskId] = definition(build, name, needs);
    const { status } = await queue.createTask(taskId, definitions[taskId]);
    assert.equal(status.taskId, taskId);
    assert.equal(status.taskQueueId, taskQueueId);
    assert.equal(status.state, needs.length ? 'unscheduled' : 'pending');
  }
  ok('create a graph of three tasks; only the first is pending');

  const again = await queue.createTask(build, definitions[build]);
  assert.deepEqual([again.status.state, again.status.runs.length], ['pending', 1]);
  await refused(409, 'RequestConflict', queue.createTask(build, definition(build, 'another')));
  ok('creating a task again changes nothing; another one under its id is refused (409)');

  const found = await queue.task(build);
  assert.deepEqual(found.payload, definitions[build].payload);
  assert.deepEqual(found.metadata, definitions[build].metadata);
  assert.equal(found.taskQueueId, taskQueueId);
  ok('the definition comes back as it was sent');

  const { tasks } = await queue.listDependentTasks(build);
  assert.deepEqual(tasks.map(it => it.status.taskId).sort(), [test, deploy].sort());
  ok('list the dependents of a task');
  assert.equal((await queue.pendingTasks(taskQueueId)).pendingTasks, 1);
  ok('count the pending tasks of the queue');
  return [build, test, deploy];
};

const leaveArtifacts = async (queue, byWorker, taskId) => {
  const document = { answer: 42 };
  const uploads = [
    ['public/logs/live log.txt', 'text/plain; charset=utf-8', 'line\n'.repeat(1000) + 'Grüße\n'],
    ['public/result.json', 'application/json', JSON.stringify(document)],
    ['private/secret.txt', 'text/plain', 'nobody but its readers'],
  ];
  const expires = taskcluster.fromNowJSON('1 hour');
  for (const [name, contentType, body] of uploads) {
    const made = await byWorker.createArtifact(taskId, 0, name, {
      storageType: 's3', contentType, expires,
    });
    assert.deepEqual([made.storageType, made.contentType], ['s3', contentType]);
    const put = await fetch(made.putUrl, {
      method: 'PUT', body, headers: { 'Content-Type': made.contentType },
    });
    assert.equal(put.status, 200);
  }
  ok('upload artifacts with a plain PUT');

  const link = { storageType: 'link', artifact: 'public/result.json', expires };
  assert.deepEqual(
    await byWorker.createArtifact(taskId, 0, 'public/newest.json', link),
    { storageType: 'link' },
  );
  const linked = await fetch(queue.buildSignedUrl(queue.getLatestArtifact, taskId, 'public/newest.json'));
  assert.deepEqual(await linked.json(), document);
  ok('a link leads to the artifact it names');

  const names = [...uploads.map(([name]) => name), 'public/newest.json'].sort();
  const listed = await queue.listArtifacts(taskId, 0);
  assert.deepEqual(listed.artifacts.map(it => it.name).sort(), names);
  const paged = [];
  let continuationToken;
  do {
    const query = continuationToken ? { limit: 1, continuationToken } : { limit: 1 };
    const page = await queue.listLatestArtifacts(taskId, query);
    paged.push(...page.artifacts.map(it => it.name));
    continuationToken = page.continuationToken;
  } while (continuationToken);
  assert.deepEqual(paged.sort(), names);
  ok('list artifacts, whole and by pages');

  for (const [name, contentType, body] of uploads) {
    const answer = await fetch(queue.buildSignedUrl(queue.getArtifact, taskId, 0, name));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), contentType);
    assert.equal(await answer.text(), body);
  }
  ok('download by signed URL');

  const [name, contentType, body] = uploads[2];
  const chunks = [];
  const kind = await taskcluster.downloadArtifact({
    taskId, runId: 0, name, queue, retries: 0,
    streamFactory: async () => new Writable({
      write(chunk, encoding, done) {
        chunks.push(chunk);
        done();
      },
    }),
  });
  assert.deepEqual([Buffer.concat(chunks).toString(), kind], [body, contentType]);
  ok('download with the client\'s own function');

  const place = await queue.getLatestArtifact(taskId, 'public/result.json');
  assert.equal(place.storageType, 's3');
  assert.deepEqual(await (await fetch(place.url)).json(), document);
  await refused(403, 'InsufficientScopes', queueOf().getLatestArtifact(taskId, name));
  await refused(404, 'ResourceNotFound', queue.getLatestArtifact(taskId, 'public/none'));
  ok('private artifacts are closed to others (403), unknown ones are not found (404)');
};

const workOn = async (queue, taskId) => {
  const [claimed, first] = await claim(queue, taskId);
  assert.deepEqual([claimed.runId, claimed.status.state], [0, 'running']);
  assert.equal(claimed.status.runs[0].takenUntil, claimed.takenUntil);
  ok('claim work: the pending task, with credentials of its own');

  const reclaimed = await first.reclaimTask(taskId, 0);
  assert.ok(new Date(reclaimed.takenUntil) >= new Date(claimed.takenUntil));
  const byWorker = queueOf(reclaimed.credentials);
  ok('reclaim with the claim\'s credentials');
  await refused(403, 'InsufficientScopes', byWorker.cancelTask(taskId));
  ok('the claim\'s credentials cannot cancel the task (403)');

  await leaveArtifacts(queue, byWorker, taskId);

  assert.equal((await byWorker.reportCompleted(taskId, 0)).status.state, 'completed');
  assert.equal((await byWorker.reportCompleted(taskId, 0)).status.state, 'completed');
  await refused(409, 'RequestConflict', byWorker.reportFailed(taskId, 0));
  await refused(409, 'RequestConflict', byWorker.reclaimTask(taskId, 0));
  ok('complete; again is fine, anything else is refused (409)');
};

const failAndRerun = async (queue, test, deploy) => {
  assert.deepEqual([await state(queue, test), await state(queue, deploy)], ['pending', 'unscheduled']);
  let [, byWorker] = await claim(queue, test);
  assert.equal((await byWorker.reportFailed(test, 0)).status.state, 'failed');
  assert.equal(await state(queue, deploy), 'unscheduled');
  ok('a failed task does not release its dependents');

  const { status } = await queue.rerunTask(test);
  assert.deepEqual([status.state, status.runs[1].reasonCreated], ['pending', 'rerun']);
  [, byWorker] = await claim(queue, test);
  assert.equal((await byWorker.reportCompleted(test, 1)).status.state, 'completed');
  assert.equal(await state(queue, deploy), 'pending');
  ok('rerun: a new run, which completes and releases the dependents');
};

const cancel = async (queue, deploy) => {
  const { status } = await queue.cancelTask(deploy);
  assert.deepEqual([status.state, status.runs[0].reasonResolved], ['exception', 'canceled']);
  assert.equal((await queue.rerunTask(deploy)).status.state, 'pending');
  const [claimed, byWorker] = await claim(queue, deploy);
  await queue.cancelTask(deploy);
  await refused(409, 'RequestConflict', byWorker.reportCompleted(deploy, claimed.runId));
  ok('cancel while pending and while running; the worker\'s answer is refused (409)');
};

const listGroup = async (queue, group, taskIds) => {
  const found = [];
  let continuationToken;
  do {
    const query = continuationToken ? { limit: 1, continuationToken } : { limit: 1 };
    const page = await queue.listTaskGroup(group, query);
    assert.equal(page.taskGroupId, group);
    assert.ok(page.tasks.length <= 1);
    found.push(...page.tasks.map(it => it.status.taskId));
    continuationToken = page.continuationToken;
  } while (continuationToken);
  assert.deepEqual(found.sort(), [...taskIds].sort());
  ok('list the group by pages of one');
};

const wakeUp = async queue => {
  const waiting = queueOf(root).claimWork(taskQueueId, worker);
  await new Promise(resolve => setTimeout(resolve, 1000)); // by then it usually waits
  const taskId = taskcluster.slugid();
  const begun = Date.now();
  await queue.createTask(taskId, definition(taskId, 'awaited'));
  const { tasks } = await waiting;
  assert.deepEqual(tasks.map(it => it.status.taskId), [taskId]);
  // Without the task a claim waits for 20 seconds. This is less, and still enough for a machine
  // that stands still for a while.
  assert.ok(Date.now() - begun < 15_000, 'the waiting worker got the task too late');
  await queueOf(tasks[0].credentials).reportCompleted(taskId, 0);
  ok('a waiting claim gets a new task at once');
};

const errors = async queue => {
  const unknown = taskcluster.slugid();
  for (const method of ['task', 'status', 'cancelTask', 'rerunTask', 'listTaskGroup']) {
    await refused(404, 'ResourceNotFound', queue[method](unknown));
  }
  ok('unknown tasks and groups are not found (404)');

  const create = client => client.createTask(unknown, definition(unknown, 'refused'));
  await refused(401, 'AuthenticationFailed', create(queueOf({ ...root, accessToken: 'x'.repeat(44) })));
  await refused(401, 'AuthenticationFailed', create(queueOf({ ...root, clientId: 'no/such/client' })));
  ok('a wrong token and an unknown client are refused (401)');

  await refused(403, 'InsufficientScopes', create(queueOf()));
  await refused(403, 'InsufficientScopes', create(queueOf(root, { authorizedScopes: ['queue:create-task:*'] })));
  ok('without scopes nothing is created (403)');

  const temporary = queueOf(taskcluster.createTemporaryCredentials({
    clientId: 'conformance/temporary',
    start: taskcluster.fromNow('-1 minute'),
    expiry: taskcluster.fromNow('1 hour'),
    scopes: ['queue:cancel-task:*', 'queue:status:*'],
    credentials: root,
  }));
  await refused(403, 'InsufficientScopes', create(temporary));
  const taskId = taskcluster.slugid();
  await queue.createTask(taskId, definition(taskId, 'cancelled by temporary credentials'));
  assert.equal((await temporary.cancelTask(taskId)).status.state, 'exception');
  ok('temporary credentials allow what they name, and no more (403)');

  for (const more of [{ priority: 'urgent' }, { surprise: 1 }, { retries: 50 }]) {
    await refused(400, 'InputValidationError',
      queue.createTask(unknown, definition(unknown, 'bad', [], more)));
  }
  await refused(400, 'InputError',
    queue.createTask(unknown, definition(unknown, 'bad', [taskcluster.slugid()])));
  await refused(404, 'ResourceNotFound', queue.status(unknown));
  ok('bad input is refused (400) and leaves no task behind');
};

const main = async () => {
  const queue = queueOf(root);
  assert.equal((await queue.ping()).alive, true);
  ok('ping');
  // Waits beside everything else. The server answers after 20 seconds; the client's usual limit of
  // 30 is too close to that on a machine that stands still for seconds.
  const patient = queueOf(root, { timeout: 60_000 });
  const nothing = patient.claimWork(`conformance/${workerType}-x`, worker);
  nothing.catch(() => {}); // reported where it is awaited
  const [build, test, deploy] = await createGraph(queue);
  await workOn(queue, build);
  await failAndRerun(queue, test, deploy);
  await listGroup(queue, build, [build, test, deploy]);
  await cancel(queue, deploy);
  await wakeUp(queue);
  await errors(queue);
  assert.deepEqual(await nothing, { tasks: [] });
  ok('a claim on an empty queue is answered with nothing in time');
  console.log('done');
};

await main();
