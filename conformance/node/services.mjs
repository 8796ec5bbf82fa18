// Every method of the hooks, the index, the notify, the secrets and the purge-cache service that a
// release of the JavaScript client knows, called with success.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES, the
// folder the client is installed in. The clients' own tables say which methods there are; one that
// has no call here fails the run. Prints one line `ok <service> <method>` a method; ends with a
// stack trace at the first that fails.

import assert from 'node:assert/strict';
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

// No retries: a server fault must show, not be mended by the second try.
const clientOf = (Service, credentials = root) =>
  new Service({ rootUrl, credentials, retries: 0 });
const queue = clientOf(taskcluster.Queue);
const auth = clientOf(taskcluster.Auth);
const hooks = clientOf(taskcluster.Hooks);
const index = clientOf(taskcluster.Index);
const notify = clientOf(taskcluster.Notify);
const secrets = clientOf(taskcluster.Secrets);
const purgeCache = clientOf(taskcluster.PurgeCache);

const pool = 'services-js/worker';
const soon = (text = '1 hour') => taskcluster.fromNowJSON(text);
const entry = (taskId, rank = 0) => ({ taskId, rank, data: {}, expires: soon('1 day') });

const refused = async (status, promise) =>
  assert.rejects(promise, error => error.statusCode === status);

// A task that has completed, with a public artifact.
const runTask = async routes => {
  const taskId = taskcluster.slugid();
  await queue.createTask(taskId, {
    taskQueueId: pool,
    created: soon('0 seconds'),
    deadline: soon('2 hours'),
    payload: {},
    routes,
    metadata: {
      name: 'indexed',
      description: 'a task that is found',
      owner: 'someone@example.com',
      source: 'https://example.com/source',
    },
  });
  const claim = await queue.claimTask(taskId, 0, { workerGroup: 'group', workerId: 'worker' });
  const worker = clientOf(taskcluster.Queue, claim.credentials);
  await worker.createArtifact(taskId, 0, 'public/build.json', {
    storageType: 'reference',
    contentType: 'application/json',
    url: `${rootUrl}/api/queue/v1/ping`,
    expires: soon(),
  });
  await worker.reportCompleted(taskId, 0);
  return taskId;
};

const group = 'services-js';
// A hook that is told by its triggers what to say, and makes no task of silence.
const hook = {
  metadata: {
    name: 'a hook',
    description: 'makes tasks',
    owner: 'someone@example.com',
    emailOnError: false,
  },
  bindings: [],
  schedule: [],
  task: {
    $if: "payload.say != 'nothing'",
    then: {
      taskQueueId: pool,
      created: { $fromNow: '0 seconds' },
      deadline: { $fromNow: '1 hour' },
      payload: { said: '${payload.say}', by: { $eval: 'firedBy' } },
      metadata: {
        name: 'hooked',
        description: 'a task that a hook has made',
        owner: 'someone@example.com',
        source: 'https://example.com/source',
      },
    },
  },
  triggerSchema: {
    type: 'object',
    properties: { say: { type: 'string' } },
    required: ['say'],
    additionalProperties: false,
  },
};

const makeHook = async (hookId, more = {}) => {
  const definition = { ...hook, ...more };
  const told = await hooks.createHook(group, hookId, definition);
  assert.deepEqual(told, { ...definition, hookGroupId: group, hookId });
  return told;
};

// Lets a hook create its tasks.
const allow = hookId =>
  auth.createRole(`hook-id:${group}/${hookId}`, {
    description: 'what a hook may do',
    scopes: [
      `queue:create-task:lowest:${pool}`,
      'queue:create-task:project:none',
      'queue:scheduler-id:-',
    ],
  });

// The answer of a trigger names a task that is there.
const checkTask = async ({ taskId, status }, by, said) => {
  assert.equal(status.taskId, taskId);
  assert.deepEqual((await queue.task(taskId)).payload, { said, by });
  return taskId;
};

const address = 'someone@example.com';
const mail = (subject, more = {}) => ({ address, subject, content: '# It is *done*', ...more });

// It is accepted, and nothing is wrong with saying it again.
const checkNotified = async (call, body) => {
  for (const _ of ['once', 'again']) {
    assert.equal(await call(body), undefined);
  }
};

// What goes to an address is refused while that is on the denylist.
const checkDenied = async (call, body, notificationType, notificationAddress) => {
  const denied = { notificationType, notificationAddress };
  await notify.addDenylistAddress(denied);
  await assert.rejects(call(body), error =>
    error.statusCode === 400 && error.code === 'DenylistedAddress');
  await notify.deleteDenylistAddress(denied);
  await call(body);
};

// The same of every service.
const monitoring = service => ({
  ping: async () => assert.equal((await service.ping()).alive, true),
  heartbeat: async () => assert.deepEqual(await service.heartbeat(), {}),
  lbheartbeat: async () => assert.deepEqual(await service.lbheartbeat(), {}),
  version: async () => assert.ok((await service.version()).version),
});

const name = 'project/services-js:a key';
const secret = { token: 's3cr3t', nested: { list: [1, 2.5, null] } };

const calls = {
  hooks: {
    ...monitoring(hooks),
    createHook: async () => {
      const made = await makeHook('create/one');
      assert.deepEqual(await hooks.createHook(group, 'create/one', hook), made);
      const changed = { ...hook, schedule: ['@daily'] };
      await refused(409, hooks.createHook(group, 'create/one', changed));
      await refused(400, hooks.createHook(group, 'create/two', made));
    },
    updateHook: async () => {
      await makeHook('update/one');
      const changed = { ...hook, schedule: ['0 0 3 * * *'] };
      const told = await hooks.updateHook(group, 'update/one', changed);
      assert.deepEqual(told, { ...changed, hookGroupId: group, hookId: 'update/one' });
      await refused(404, hooks.updateHook(group, 'update/none', changed));
    },
    hook: async () => {
      const made = await makeHook('hook/one', { schedule: ['@weekly'] });
      assert.deepEqual(await hooks.hook(group, 'hook/one'), made);
      await refused(404, hooks.hook(group, 'hook/none'));
    },
    listHookGroups: async () => {
      await makeHook('groups');
      assert.ok((await hooks.listHookGroups()).groups.includes(group));
    },
    listHooks: async () => {
      for (const hookId of ['b/x', 'a']) {
        await hooks.createHook('listed-js', hookId, hook);
      }
      const found = await hooks.listHooks('listed-js');
      assert.deepEqual(found.hooks.map(({ hookId }) => hookId), ['a', 'b/x']);
      await refused(404, hooks.listHooks('nobody'));
    },
    getHookStatus: async () => {
      await makeHook('status/one', { schedule: ['@yearly'] });
      await allow('status/one');
      const fresh = await hooks.getHookStatus(group, 'status/one');
      assert.deepEqual(fresh.lastFire, { result: 'no-fire' });
      assert.ok(new Date(fresh.nextScheduledDate) > new Date());
      const { taskId } = await hooks.triggerHook(group, 'status/one', { say: 'hello' });
      const { lastFire } = await hooks.getHookStatus(group, 'status/one');
      assert.deepEqual([lastFire.result, lastFire.taskId], ['success', taskId]);
    },
    triggerHook: async () => {
      await makeHook('trigger/one');
      await refused(403, hooks.triggerHook(group, 'trigger/one', { say: 'hello' }));
      await allow('trigger/one');
      const triggered = await hooks.triggerHook(group, 'trigger/one', { say: 'hello' });
      await checkTask(triggered, 'triggerHook', 'hello');
      const declined = await hooks.triggerHook(group, 'trigger/one', { say: 'nothing' });
      assert.deepEqual(declined, {});
      await refused(400, hooks.triggerHook(group, 'trigger/one', { say: 1 }));
      await refused(404, hooks.triggerHook(group, 'trigger/none', { say: 'hello' }));
    },
    getTriggerToken: async () => {
      await makeHook('token/one');
      const { token } = await hooks.getTriggerToken(group, 'token/one');
      assert.equal((await hooks.getTriggerToken(group, 'token/one')).token, token);
      await refused(404, hooks.getTriggerToken(group, 'token/none'));
    },
    triggerHookWithToken: async () => {
      await makeHook('with/token');
      await allow('with/token');
      const { token } = await hooks.getTriggerToken(group, 'with/token');
      const anonymous = clientOf(taskcluster.Hooks, null);
      const trigger = (given, say) =>
        anonymous.triggerHookWithToken(group, 'with/token', given, { say });
      await checkTask(await trigger(token, 'hello'), 'triggerHookWithToken', 'hello');
      await refused(401, trigger(taskcluster.slugid(), 'hello'));
    },
    resetTriggerToken: async () => {
      await makeHook('reset/one');
      await allow('reset/one');
      const { token: old } = await hooks.getTriggerToken(group, 'reset/one');
      const { token } = await hooks.resetTriggerToken(group, 'reset/one');
      assert.notEqual(token, old);
      const trigger = given =>
        hooks.triggerHookWithToken(group, 'reset/one', given, { say: 'hello' });
      await refused(401, trigger(old));
      await checkTask(await trigger(token), 'triggerHookWithToken', 'hello');
    },
    listLastFires: async () => {
      await makeHook('fires/one');
      await refused(404, hooks.listLastFires(group, 'fires/one'));
      await refused(403, hooks.triggerHook(group, 'fires/one', { say: 'hello' }));
      await allow('fires/one');
      const { taskId } = await hooks.triggerHook(group, 'fires/one', { say: 'hello' });
      const first = await hooks.listLastFires(group, 'fires/one', { limit: 1 });
      const { continuationToken } = first;
      const rest = await hooks.listLastFires(group, 'fires/one', { continuationToken });
      const [[fired], [failed]] = [first.lastFires, rest.lastFires];
      const { firedBy, result, taskState, error } = fired;
      assert.equal(fired.taskId, taskId);
      assert.deepEqual(
        { firedBy, result, taskState, error },
        { firedBy: 'triggerHook', result: 'success', taskState: 'pending', error: '' },
      );
      assert.equal(failed.result, 'error');
      assert.match(failed.error, /InsufficientScopes/);
      assert.equal(rest.continuationToken, undefined);
    },
    removeHook: async () => {
      await makeHook('remove/one');
      await hooks.removeHook(group, 'remove/one');
      await refused(404, hooks.hook(group, 'remove/one'));
    },
  },
  index: {
    ...monitoring(index),
    insertTask: async () => {
      const [first, second] = [taskcluster.slugid(), taskcluster.slugid()];
      await index.insertTask('js.insert', entry(first, 5));
      assert.equal((await index.insertTask('js.insert', entry(second, 4))).taskId, first);
      assert.equal((await index.insertTask('js.insert', entry(second, 5))).taskId, second);
    },
    findTask: async () => {
      const taskId = await runTask(['index.js.find.latest']);
      assert.equal((await index.findTask('js.find.latest')).taskId, taskId);
      await refused(404, index.findTask('js.find.nothing'));
    },
    findTasksAtIndex: async () => {
      await index.insertTask('js.many', entry(taskcluster.slugid()));
      const { tasks } = await index.findTasksAtIndex({ indexes: ['js.none', 'js.many'] });
      assert.deepEqual(tasks.map(task => task.namespace), ['js.many']);
    },
    listNamespaces: async () => {
      await index.insertTask('js.tree.a.x', entry(taskcluster.slugid()));
      const { namespaces } = await index.listNamespaces('js.tree');
      assert.deepEqual(namespaces.map(found => found.namespace), ['js.tree.a']);
      assert.ok((await index.listNamespaces('')).namespaces.some(found => found.name === 'js'));
    },
    listTasks: async () => {
      for (const leaf of ['c', 'a', 'b']) {
        await index.insertTask(`js.leaves.${leaf}`, entry(taskcluster.slugid()));
      }
      const first = await index.listTasks('js.leaves', { limit: 2 });
      const { continuationToken } = first;
      const rest = await index.listTasks('js.leaves', { continuationToken });
      const found = [first, rest].map(page => page.tasks.map(task => task.namespace));
      assert.deepEqual(found, [['js.leaves.a', 'js.leaves.b'], ['js.leaves.c']]);
    },
    deleteTask: async () => {
      await index.insertTask('js.delete', entry(taskcluster.slugid()));
      await index.deleteTask('js.delete');
      await refused(404, index.findTask('js.delete'));
    },
    findArtifactFromTask: async () => {
      await runTask(['index.js.artifact']);
      const args = [index.findArtifactFromTask, 'js.artifact', 'public/build.json'];
      for (const url of [index.buildUrl(...args), index.buildSignedUrl(...args)]) {
        const answer = await fetch(url);
        assert.equal((await answer.json()).alive, true);
      }
    },
  },
  notify: {
    ...monitoring(notify),
    email: async () => {
      const email = body => notify.email(body);
      const link = { text: 'Look at it', href: 'https://example.com/build' };
      const replyTo = 'other@example.com';
      await checkNotified(email, mail('whole', { link, replyTo, template: 'fullscreen' }));
      await checkNotified(email, mail('least'));
      await checkDenied(email, mail('denied'), 'email', address);
      await refused(400, email(mail('wrong', { template: 'loud' })));
      await refused(400, email(mail('')));
    },
    pulse: async () => {
      const pulse = body => notify.pulse(body);
      await checkNotified(pulse, { routingKey: 'js.key', message: { x: [1, 2.5, null] } });
      await checkDenied(pulse, { routingKey: 'js.denied', message: {} }, 'pulse', 'js.denied');
      await refused(400, pulse({ routingKey: 'js.key', message: 'text' }));
    },
    matrix: async () => {
      const matrix = body => notify.matrix(body);
      const roomId = '!room:example.com';
      await checkNotified(matrix, {
        roomId,
        body: 'hello',
        format: 'org.matrix.custom.html',
        formattedBody: '<b>hello</b>',
        msgtype: 'm.emote',
      });
      await checkDenied(matrix, { roomId, body: 'denied' }, 'matrix-room', roomId);
      await refused(400, matrix({ roomId }));
    },
    slack: async () => {
      const slack = body => notify.slack(body);
      const channelId = 'C0123';
      const blocks = [{ type: 'divider' }];
      await checkNotified(slack, { channelId, text: 'hello', blocks, unfurlMedia: true });
      await checkDenied(slack, { channelId, text: 'denied' }, 'slack-channel', channelId);
      await refused(400, slack({ channelId }));
    },
    addDenylistAddress: async () => {
      const added = { notificationType: 'email', notificationAddress: 'added@example.com' };
      for (const _ of ['once', 'again']) {
        await notify.addDenylistAddress(added);
      }
      assert.deepEqual((await notify.listDenylist()).addresses, [added]);
      await refused(400, notify.addDenylistAddress({ ...added, notificationType: 'fax' }));
      await notify.deleteDenylistAddress(added);
    },
    deleteDenylistAddress: async () => {
      const deleted = { notificationType: 'pulse', notificationAddress: 'js.deleted' };
      await notify.addDenylistAddress(deleted);
      for (const _ of ['once', 'again']) {
        await notify.deleteDenylistAddress(deleted);
      }
      assert.deepEqual((await notify.listDenylist()).addresses, []);
    },
    listDenylist: async () => {
      const addresses = [
        { notificationType: 'email', notificationAddress: 'a@example.com' },
        { notificationType: 'email', notificationAddress: 'b@example.com' },
        { notificationType: 'matrix-room', notificationAddress: '!room:example.com' },
      ];
      for (const added of [...addresses].reverse()) {
        await notify.addDenylistAddress(added);
      }
      const first = await notify.listDenylist({ limit: 2 });
      const { continuationToken } = first;
      const rest = await notify.listDenylist({ continuationToken });
      assert.deepEqual(first.addresses, addresses.slice(0, 2));
      assert.deepEqual(rest.addresses, addresses.slice(2));
      assert.equal(rest.continuationToken, undefined);
      for (const deleted of addresses) {
        await notify.deleteDenylistAddress(deleted);
      }
    },
  },
  secrets: {
    ...monitoring(secrets),
    set: async () => {
      await secrets.set(name, { secret: {}, expires: soon() });
      await secrets.set(name, { secret, expires: soon() });
    },
    get: async () => {
      await secrets.set(name, { secret, expires: soon() });
      assert.deepEqual((await secrets.get(name)).secret, secret);
      await refused(404, secrets.get('project/services-js:none'));
    },
    list: async () => {
      await secrets.set(name, { secret, expires: soon() });
      assert.ok((await secrets.list()).secrets.includes(name));
    },
    remove: async () => {
      await secrets.set('remove/js', { secret, expires: soon() });
      await secrets.remove('remove/js');
      await refused(404, secrets.get('remove/js'));
    },
  },
  purgeCache: {
    ...monitoring(purgeCache),
    purgeCache: async () => {
      await purgeCache.purgeCache(pool, { cacheName: 'checkouts' });
    },
    purgeRequests: async () => {
      await purgeCache.purgeCache(pool, { cacheName: 'tooltool' });
      const { requests } = await purgeCache.purgeRequests(pool);
      const [{ before }] = requests.filter(request => request.cacheName === 'tooltool');
      // As dates print themselves, which is to the second.
      const since = new Date(before).toString();
      const later = await purgeCache.purgeRequests(pool, { since });
      assert.ok(later.requests.some(request => request.cacheName === 'tooltool'));
      assert.deepEqual((await purgeCache.purgeRequests(pool, { since: soon() })).requests, []);
    },
    allPurgeRequests: async () => {
      await purgeCache.purgeCache(pool, { cacheName: 'all' });
      const { requests } = await purgeCache.allPurgeRequests();
      assert.ok(requests.some(({ cacheName }) => cacheName === 'all'));
    },
  },
};

const services = {
  hooks: taskcluster.Hooks,
  index: taskcluster.Index,
  notify: taskcluster.Notify,
  secrets: taskcluster.Secrets,
  purgeCache: taskcluster.PurgeCache,
};
for (const [service, Service] of Object.entries(services)) {
  const known = Object.entries(Service.prototype)
    .filter(([, method]) => method?.entryReference?.type === 'function')
    .map(([method]) => method)
    .sort();
  assert.ok(known.includes('ping'), `the client's table was not found: ${known}`);
  const missing = known.filter(method => !(method in calls[service]));
  assert.deepEqual(missing, [], `no call is written for these of ${service}`);
  for (const method of known) {
    await calls[service][method]();
    console.log(`ok ${service} ${method}`);
  }
}
console.log('done');
