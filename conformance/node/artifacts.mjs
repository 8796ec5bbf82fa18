// What users of the JavaScript client do with artifacts, run with an unmodified release of it.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES, the
// folder the client is installed in. Prints one line `ok <step>` a step; ends with a stack trace
// at the first step that fails.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const modules = createRequire(path.join(process.env.NODE_MODULES, 'none.js'));
const { default: taskcluster } = await import(
  pathToFileURL(modules.resolve('taskcluster-client'))
);

const rootUrl = process.env.TASKCLUSTER_ROOT_URL;
const credentials = {
  clientId: process.env.TASKCLUSTER_CLIENT_ID,
  accessToken: process.env.TASKCLUSTER_ACCESS_TOKEN,
};
const taskQueueId = `conformance/w${crypto.randomBytes(6).toString('hex')}`;
const expires = taskcluster.fromNowJSON('1 hour');

// No retries: a server fault must show, not be mended by the second try.
const queueOf = credentials => new taskcluster.Queue({ rootUrl, credentials, retries: 0 });
const objectOf = credentials => new taskcluster.Object({ rootUrl, credentials, retries: 0 });
const ok = step => console.log(`ok ${step}`);

const queue = queueOf(credentials);
const task = taskcluster.slugid();
await queue.createTask(task, {
  taskQueueId,
  schedulerId: 'conformance',
  created: taskcluster.fromNowJSON('0 seconds'),
  deadline: taskcluster.fromNowJSON('2 hours'),
  payload: {},
  metadata: {
    name: 'artifacts',
    description: 'leaves artifacts',
    owner: 'someone@example.com',
    source: 'https://example.com/source',
  },
});
const claims = await queue.claimWork(taskQueueId, { workerGroup: 'group', workerId: 'worker' });
assert.equal(claims.tasks[0].status.taskId, task);
const worker = queueOf(claims.tasks[0].credentials);

// Collects what is written to a stream.
const collector = () => {
  const chunks = [];
  const stream = new Writable({
    write(chunk, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  return { stream, bytes: () => Buffer.concat(chunks) };
};

const downloaded = async name => {
  let collected;
  const contentType = await taskcluster.downloadArtifact({
    taskId: task,
    runId: 0,
    name,
    queue,
    retries: 0,
    streamFactory: async () => {
      collected = collector();
      return collected.stream;
    },
  });
  return [contentType, collected.bytes()];
};

const text = Buffer.from('again and again '.repeat(1000));
const made = await worker.createArtifact(task, 0, 'public/plain', {
  storageType: 's3',
  contentType: 'text/plain',
  expires,
});
const put = await fetch(made.putUrl, {
  method: 'PUT',
  body: text,
  headers: { 'content-type': made.contentType },
});
assert.equal(put.status, 200);
assert.deepEqual(await downloaded('public/plain'), ['text/plain', text]);
ok('upload by PUT, download with the client\'s own function');

for (const length of [0, 1, 8191, 8192, 1 << 20]) {
  const name = `public/object-${length}`;
  const data = crypto.randomBytes(length);
  const made = await worker.createArtifact(task, 0, name, {
    storageType: 'object',
    contentType: 'text/x-test',
    expires,
  });
  await taskcluster.upload({
    projectId: made.projectId,
    name: made.name,
    contentType: 'text/x-test',
    contentLength: length,
    expires: made.expires,
    uploadId: made.uploadId,
    object: objectOf(made.credentials),
    retries: 0,
    streamFactory: async () => Readable.from(length === 0 ? [] : [data]),
  });
  await worker.finishArtifact(task, 0, name, { uploadId: made.uploadId });
  assert.deepEqual(await downloaded(name), ['text/x-test', data]);
}
ok('upload and download objects of all sizes with the client\'s own functions');

const stolen = await worker.createArtifact(task, 0, 'public/unfinished', {
  storageType: 'object',
  contentType: 'text/x-test',
  expires,
});
const refusal = await worker
  .finishArtifact(task, 0, 'public/unfinished', { uploadId: stolen.uploadId })
  .then(() => assert.fail('what was never uploaded was finished'), error => error);
assert.deepEqual([refusal.statusCode, refusal.code], [400, 'InputError']);
const missing = await queue
  .artifact(task, 0, 'public/unfinished')
  .then(() => assert.fail('what was never uploaded was found'), error => error);
assert.equal(missing.statusCode, 404);
ok('what was never uploaded is neither finished (400) nor there (404)');
console.log('done');
