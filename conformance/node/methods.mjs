// Every method of the queue that a release of the JavaScript client knows, called once with
// success.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES, the
// folder the client is installed in. The client's own table says which methods there are; one that
// has no call here fails the run. Prints one line `ok <method>` a method; ends with a stack trace
// at the first that fails.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
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
const provisionerId = 'methods';
const worker = { workerGroup: 'group', workerId: 'worker' };
const name = 'public/page';

// No retries: a server fault must show, not be mended by the second try.
const clientOf = credentials => new taskcluster.Queue({ rootUrl, credentials, retries: 0 });
const queue = clientOf(root);
const soon = (text = '1 hour') => taskcluster.fromNowJSON(text);

// A task queue of its own for one method.
class Place {
  constructor() {
    this.type = 'w' + crypto.randomBytes(6).toString('hex');
    this.id = `${provisionerId}/${this.type}`;
    this.worker = [provisionerId, this.type, 'group', 'worker'];
  }

  definition(more = {}) {
    return {
      taskQueueId: this.id,
      schedulerId: 'conformance',
      created: soon('0 seconds'),
      deadline: soon('2 hours'),
      payload: {},
      metadata: {
        name: 'one method',
        description: 'a task for one method',
        owner: 'someone@example.com',
        source: 'https://example.com/source',
      },
      ...more,
    };
  }

  async task(more) {
    const id = taskcluster.slugid();
    await queue.createTask(id, this.definition(more));
    return id;
  }

  // A running task, and the queue as its worker sees it.
  async claimed() {
    const id = await this.task();
    const { tasks } = await queue.claimWork(this.id, { ...worker, tasks: 1 });
    assert.deepEqual(tasks.map(claim => claim.status.taskId), [id]);
    return [id, clientOf(tasks[0].credentials)];
  }

  async artifact() {
    const [id, holder] = await this.claimed();
    const made = await holder.createArtifact(id, 0, name, {
      storageType: 'reference',
      contentType: 'application/json',
      url: `${rootUrl}/api/queue/v1/ping`,
      expires: soon(),
    });
    assert.deepEqual(made, { storageType: 'reference' });
    return [id, holder];
  }
}

const refused = async (statusCode, code, call) => {
  const error = await call.then(
    () => assert.fail(`a call that should be refused with ${statusCode} was accepted`),
    refusal => refusal,
  );
  assert.deepEqual([error.statusCode, error.code], [statusCode, code], error.stack);
};

const stateOf = ({ status }) => status.state;
const ids = ({ tasks }) => tasks.map(({ status }) => status.taskId);

const calls = {
  ping: async () => assert.equal((await queue.ping()).alive, true),
  heartbeat: async () => assert.deepEqual(await queue.heartbeat(), {}),
  lbheartbeat: async () => assert.deepEqual(await queue.lbheartbeat(), {}),
  version: async () => assert.ok((await queue.version()).version),

  task: async place =>
    assert.equal((await queue.task(await place.task())).metadata.name, 'one method'),
  status: async place => assert.equal(stateOf(await queue.status(await place.task())), 'pending'),
  tasks: async place => {
    const id = await place.task();
    const { tasks } = await queue.tasks({ taskIds: [id, taskcluster.slugid()] });
    assert.deepEqual(tasks.map(item => [item.taskId, item.task.taskQueueId]), [[id, place.id]]);
  },
  statuses: async place => {
    const wanted = [await place.task(), await place.task()].sort();
    const first = await queue.statuses({ taskIds: wanted }, { limit: 1 });
    const { continuationToken } = first;
    const second = await queue.statuses({ taskIds: wanted }, { limit: 1, continuationToken });
    const found = [...first.statuses, ...second.statuses].map(item => item.taskId);
    assert.deepEqual(found, wanted);
    assert.equal(second.continuationToken, undefined);
  },
  listTaskGroup: async place => {
    const id = await place.task();
    assert.deepEqual(ids(await queue.listTaskGroup(id)), [id]);
  },
  listDependentTasks: async place => {
    const id = await place.task();
    const other = await place.task({ dependencies: [id] });
    assert.deepEqual(ids(await queue.listDependentTasks(id)), [other]);
  },
  getTaskGroup: async place =>
    assert.equal((await queue.getTaskGroup(await place.task())).schedulerId, 'conformance'),
  sealTaskGroup: async place => {
    const id = await place.task();
    const { sealed } = await queue.sealTaskGroup(id);
    assert.equal((await queue.getTaskGroup(id)).sealed, sealed);
  },
  cancelTaskGroup: async place => {
    const id = await place.task();
    await refused(409, 'RequestConflict', queue.cancelTaskGroup(id));
    await queue.sealTaskGroup(id);
    const told = await queue.cancelTaskGroup(id);
    assert.deepEqual([told.taskIds, told.cancelledCount, told.taskGroupSize], [[id], 1, 1]);
  },
  changeTaskPriority: async place => {
    const told = await queue.changeTaskPriority(await place.task(), { newPriority: 'high' });
    assert.equal(told.status.priority, 'high');
  },
  changeTaskGroupPriority: async place => {
    const id = await place.task();
    const told = await queue.changeTaskGroupPriority(id, { newPriority: 'very-low' });
    assert.deepEqual([told.tasksAffected, told.taskIds], [1, [id]]);
  },
  createTask: async place => {
    const id = taskcluster.slugid();
    assert.equal(stateOf(await queue.createTask(id, place.definition())), 'pending');
  },
  scheduleTask: async place => {
    const id = taskcluster.slugid();
    const made = await queue.createTask(id, place.definition({ dependencies: [id] }));
    assert.equal(stateOf(made), 'unscheduled');
    assert.equal(stateOf(await queue.scheduleTask(id)), 'pending');
  },
  rerunTask: async place => {
    const [id, holder] = await place.claimed();
    await holder.reportCompleted(id, 0);
    assert.equal((await queue.rerunTask(id)).status.runs.length, 2);
  },
  cancelTask: async place =>
    assert.equal(stateOf(await queue.cancelTask(await place.task())), 'exception'),

  claimWork: async place => {
    const id = await place.task();
    assert.deepEqual(ids(await queue.claimWork(place.id, worker)), [id]);
  },
  claimTask: async place =>
    assert.equal(stateOf(await queue.claimTask(await place.task(), 0, worker)), 'running'),
  reclaimTask: async place => {
    const [id, holder] = await place.claimed();
    assert.ok((await holder.reclaimTask(id, 0)).credentials.certificate);
  },
  reportCompleted: async place => {
    const [id, holder] = await place.claimed();
    assert.equal(stateOf(await holder.reportCompleted(id, 0)), 'completed');
  },
  reportFailed: async place => {
    const [id, holder] = await place.claimed();
    assert.equal(stateOf(await holder.reportFailed(id, 0)), 'failed');
  },
  reportException: async place => {
    const [id, holder] = await place.claimed();
    const told = await holder.reportException(id, 0, { reason: 'malformed-payload' });
    assert.equal(stateOf(told), 'exception');
  },

  createArtifact: async place => void (await place.artifact()),
  // Only artifacts that wait for an upload can be finished.
  finishArtifact: async place => {
    const [id, holder] = await place.artifact();
    const uploadId = taskcluster.slugid();
    await refused(400, 'InputError', holder.finishArtifact(id, 0, name, { uploadId }));
  },
  listArtifacts: async place => {
    const [id] = await place.artifact();
    const { artifacts } = await queue.listArtifacts(id, 0);
    assert.deepEqual(artifacts.map(artifact => artifact.name), [name]);
  },
  listLatestArtifacts: async place => {
    const [id] = await place.artifact();
    const { artifacts } = await queue.listLatestArtifacts(id);
    assert.deepEqual(artifacts.map(artifact => artifact.name), [name]);
  },
  getArtifact: async place => {
    const [id] = await place.artifact();
    assert.match((await queue.getArtifact(id, 0, name)).url, /ping$/);
  },
  getLatestArtifact: async place => {
    const [id] = await place.artifact();
    assert.match((await queue.getLatestArtifact(id, name)).url, /ping$/);
  },
  artifact: async place => {
    const [id] = await place.artifact();
    assert.equal((await queue.artifact(id, 0, name)).storageType, 'reference');
  },
  latestArtifact: async place => {
    const [id] = await place.artifact();
    assert.equal((await queue.latestArtifact(id, name)).storageType, 'reference');
  },
  artifactInfo: async place => {
    const [id] = await place.artifact();
    assert.equal((await queue.artifactInfo(id, 0, name)).contentType, 'application/json');
  },
  latestArtifactInfo: async place => {
    const [id] = await place.artifact();
    assert.equal((await queue.latestArtifactInfo(id, name)).contentType, 'application/json');
  },

  pendingTasks: async place => {
    await place.task();
    assert.equal((await queue.pendingTasks(place.id)).pendingTasks, 1);
  },
  taskQueueCounts: async place => {
    await place.claimed();
    await place.task();
    const told = await queue.taskQueueCounts(place.id);
    assert.deepEqual([told.pendingTasks, told.claimedTasks], [1, 1]);
  },
  taskQueueCountsBatch: async place => {
    await place.claimed();
    const { taskQueueCounts } = await queue.taskQueueCountsBatch({ taskQueueIds: [place.id] });
    assert.deepEqual(taskQueueCounts.map(told => told.claimedTasks), [1]);
  },
  listPendingTasks: async place => {
    const id = await place.task();
    const { tasks } = await queue.listPendingTasks(place.id);
    assert.deepEqual(tasks.map(item => item.taskId), [id]);
  },
  listClaimedTasks: async place => {
    const [id] = await place.claimed();
    const { tasks } = await queue.listClaimedTasks(place.id);
    assert.deepEqual(tasks.map(item => [item.taskId, item.workerId]), [[id, 'worker']]);
  },
  listTaskQueues: async place => {
    await place.claimed();
    const { taskQueues } = await queue.listTaskQueues();
    assert.ok(taskQueues.some(found => found.taskQueueId === place.id));
  },
  getTaskQueue: async place => {
    await place.claimed();
    assert.equal((await queue.getTaskQueue(place.id)).stability, 'experimental');
  },
  listProvisioners: async place => {
    await place.claimed();
    const { provisioners } = await queue.listProvisioners();
    assert.ok(provisioners.some(found => found.provisionerId === provisionerId));
  },
  getProvisioner: async place => {
    await place.claimed();
    assert.equal((await queue.getProvisioner(provisionerId)).provisionerId, provisionerId);
  },
  declareProvisioner: async place => {
    const told = await queue.declareProvisioner(provisionerId, { description: place.type });
    assert.equal(told.description, place.type);
  },
  listWorkerTypes: async place => {
    await place.claimed();
    const { workerTypes } = await queue.listWorkerTypes(provisionerId);
    assert.ok(workerTypes.some(found => found.workerType === place.type));
  },
  getWorkerType: async place => {
    await place.claimed();
    assert.equal((await queue.getWorkerType(provisionerId, place.type)).taskQueueId, place.id);
  },
  declareWorkerType: async place => {
    const body = { stability: 'stable' };
    const told = await queue.declareWorkerType(provisionerId, place.type, body);
    assert.equal(told.stability, 'stable');
  },
  listWorkers: async place => {
    await place.claimed();
    const { workers } = await queue.listWorkers(provisionerId, place.type);
    assert.deepEqual(workers.map(found => found.workerId), ['worker']);
  },
  getWorker: async place => {
    const [taskId] = await place.claimed();
    const { recentTasks } = await queue.getWorker(...place.worker);
    assert.deepEqual(recentTasks, [{ taskId, runId: 0 }]);
  },
  quarantineWorker: async place => {
    await place.claimed();
    const quarantineUntil = soon('1 day');
    const told = await queue.quarantineWorker(...place.worker, { quarantineUntil });
    assert.equal(told.quarantineUntil, quarantineUntil);
    await refused(409, 'RequestConflict', queue.claimTask(await place.task(), 0, worker));
  },
  declareWorker: async place => {
    const told = await queue.declareWorker(...place.worker, { expires: soon('2 days') });
    assert.deepEqual(told.recentTasks, []);
  },
};

const known = Object.entries(taskcluster.Queue.prototype)
  .filter(([, method]) => method?.entryReference?.type === 'function')
  .map(([method]) => method)
  .sort();
assert.ok(known.includes('createTask'), `the client's table was not found: ${known}`);
const missing = known.filter(method => !(method in calls));
assert.deepEqual(missing, [], 'no call is written for these');

for (const method of known) {
  await calls[method](new Place());
  console.log(`ok ${method}`);
}
console.log('done');
