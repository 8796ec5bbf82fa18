// Who may do what, as users of the JavaScript client arrange it, with an unmodified release of it.
//
// Reads TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and NODE_MODULES, the
// folder the client is installed in. Prints one line `ok <step>` a step; ends with a stack trace
// at the first step that fails.

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
const tester = { clientId: 'tester', accessToken: 'no-secret' };
const place = 'conformance/' + crypto.randomBytes(6).toString('hex');

// No retries: a server fault must show, not be mended by the second try.
const authOf = (credentials = {}, more = {}) =>
  recorded(new taskcluster.Auth({ rootUrl, credentials, retries: 0, ...more }));

// Names of the methods that were called, by whichever client.
const called = new Set();

// The methods of this client: functions that it made from its own table.
const methods = Object.entries(taskcluster.Auth.prototype)
  .filter(([, it]) => it?.entryReference?.type === 'function')
  .map(([name]) => name);

const recorded = client =>
  new Proxy(client, {
    get(target, name) {
      const found = target[name];
      if (typeof found !== 'function') {
        return found;
      }
      if (!methods.includes(name)) {
        return found.bind(target);
      }
      const call = (...args) => {
        called.add(name);
        return found.apply(target, args);
      };
      // Signed URLs are asked for by the method itself.
      return Object.assign(call, { entryReference: found.entryReference });
    },
  });

const ok = step => console.log(`ok ${step}`);

const definition = (scopes, expires = '1 hour') => ({
  expires: taskcluster.fromNowJSON(expires),
  description: 'made by a conformance test',
  scopes,
});

const credentialsOf = ({ clientId, accessToken }) => ({ clientId, accessToken });

const temporary = (credentials, scopes, clientId, start = '-1 minute', expiry = '1 hour') =>
  taskcluster.createTemporaryCredentials({
    clientId,
    start: taskcluster.fromNow(start),
    expiry: taskcluster.fromNow(expiry),
    scopes,
    credentials,
  });

// The call must be refused with this HTTP status and error code, as the client's own error.
const refused = async (statusCode, code, call) => {
  const error = await call.then(
    () => assert.fail(`a call that should be refused with ${statusCode} was accepted`),
    refusal => refusal,
  );
  assert.deepEqual([error.statusCode, error.code], [statusCode, code], error.stack);
};

const clients = async auth => {
  const id = `${place}/one@two!`;
  const made = await auth.createClient(id, definition(['b', 'auth:current-scopes', 'a:*']));
  assert.deepEqual(made.scopes, ['a:*', 'auth:current-scopes', 'b']);
  const own = authOf(credentialsOf(made));
  assert.ok((await own.currentScopes()).scopes.includes('a:*'));
  await refused(403, 'InsufficientScopes', own.createClient(`${place}/x`, definition([])));
  const reset = await auth.resetAccessToken(id);
  await refused(401, 'AuthenticationFailed', own.currentScopes());
  await authOf(credentialsOf(reset)).currentScopes();
  await auth.disableClient(id);
  await refused(401, 'AuthenticationFailed', authOf(credentialsOf(reset)).currentScopes());
  await auth.enableClient(id);
  const listed = await auth.listClients({ prefix: place, limit: 1 });
  assert.deepEqual(listed.clients.map(client => client.clientId), [id]);
  await auth.deleteClient(id);
  await refused(404, 'ResourceNotFound', auth.client(id));
  ok('clients: create, use, reset, disable, enable, list, delete');
};

const roles = async auth => {
  const id = `${place}/role*`;
  const wanted = { description: 'made by a conformance test', scopes: ['z:<..>', 'b'] };
  await auth.createRole(id, wanted);
  const scopes = [`assume:${place}/role:x`];
  const expanded = await auth.expandScopes({ scopes });
  assert.deepEqual(expanded.scopes, [...scopes, 'b', 'z::x']);
  const loop = { ...wanted, scopes: [`assume:${place}/role/y`] };
  await refused(400, 'InputError', auth.updateRole(id, loop));
  await refused(409, 'RequestConflict', auth.createRole(id, { ...wanted, scopes: [] }));
  assert.ok((await auth.listRoleIds()).roleIds.includes(id));
  await auth.deleteRole(id);
  await refused(404, 'ResourceNotFound', auth.role(id));
  ok('roles: create, expand, refuse a circle (400), list, delete');
};

const issued = async auth => {
  const granted = ['a:*', 'auth:current-scopes', `auth:create-client:${place}/named`];
  const issuer = credentialsOf(await auth.createClient(`${place}/issuer`, definition(granted)));
  const scopes = ['a:1', 'auth:current-scopes'];
  await authOf(temporary(issuer, scopes)).currentScopes();
  await authOf(temporary(issuer, scopes, `${place}/named`)).currentScopes();
  await refused(401, 'AuthenticationFailed',
    authOf(temporary(issuer, scopes, 'other')).currentScopes());
  await refused(401, 'AuthenticationFailed', authOf(temporary(issuer, ['b'])).currentScopes());
  // This client signs an empty list of scopes in a way of its own.
  const nothing = await authOf(temporary(issuer, [])).ping();
  assert.equal(nothing.alive, true);
  await authOf(issuer, { authorizedScopes: scopes }).currentScopes();
  await refused(401, 'AuthenticationFailed',
    authOf(issuer, { authorizedScopes: ['b'] }).currentScopes());
  ok('temporary credentials and authorized scopes, and their limits (401)');

  const client = authOf(issuer);
  const url = client.buildSignedUrl(client.currentScopes, { expiration: 60 });
  assert.equal((await fetch(url)).status, 200);
  assert.equal((await fetch(url + '&limit=1')).status, 401);
  ok('a signed URL opens, and is bound to its query');
};

// Who signs, with which authorized scopes, what the tester has and what the call requires, and how
// it must end: with the scopes that are told, or with a status.
const scenarios = () => {
  const issue = ['s:*', 'auth:create-client:my-name'];
  const good = temporary(tester, ['s:1']);
  const altered = change => ({
    ...good,
    certificate: JSON.stringify({ ...JSON.parse(good.certificate), ...change }),
  });
  const nobody = 'assume:anonymous';
  return [
    ['permanent', tester, undefined, ['s:*'], ['s:1'], [nobody, 's:*']],
    ['a star for all', tester, undefined, ['*'], ['s:1', 't'], ['*']],
    ['scopes lacking', tester, undefined, ['s'], ['t'], 403],
    ['wrong token', { ...tester, accessToken: 'wrong' }, undefined, ['*'], [], 401],
    ['wrong clientId', { ...tester, clientId: 'somebody' }, undefined, ['*'], [], 401],
    ['authorized', tester, ['s:1'], ['s:*'], ['s:1'], [nobody, 's:1']],
    ['authorized too little', tester, ['s:1'], ['s:*'], ['s:2'], 403],
    ['authorized too much', tester, ['t'], ['s:*'], [], 401],
    ['unnamed', good, undefined, ['s:*'], ['s:1'], [nobody, 's:1']],
    ['unnamed, scopes lacking', good, undefined, ['s:*'], ['s:2'], 403],
    ['unnamed, too wide', temporary(tester, ['t']), undefined, ['s:*'], [], 401],
    ['unnamed, expired', temporary(tester, ['s:1'], undefined, '-2 hours', '-1 hour'), undefined,
      ['s:*'], [], 401],
    ['unnamed, in future', temporary(tester, ['s:1'], undefined, '1 hour', '2 hours'), undefined,
      ['s:*'], [], 401],
    ['unnamed, authorized', temporary(tester, ['s:*']), ['s:1'], ['s:*'], ['s:1'],
      [nobody, 's:1']],
    ['unnamed, authorized too much', good, ['s:2'], ['s:*'], [], 401],
    ['forged', altered({ signature: 'A'.repeat(43) + '=' }), undefined, ['s:*'], [], 401],
    ['widened', altered({ scopes: ['s:1', 's:2'] }), undefined, ['s:*'], [], 401],
    ['named', temporary(tester, ['s:1'], 'my-name'), undefined, issue, ['s:1'], [nobody, 's:1']],
    ['named, not allowed to', temporary(tester, ['s:1'], 'my-name'), undefined, ['s:*'], [], 401],
    ['named, another name', temporary(tester, ['s:1'], 'your-name'), undefined, issue, [], 401],
    ['named, authorized', temporary(tester, ['s:*'], 'my-name'), ['s:1'], issue, ['s:1'],
      [nobody, 's:1']],
    // Signed with an empty list of scopes, and good all the same.
    ['no scopes at all', temporary(tester, []), undefined, ['s'], [], [nobody]],
    ['nobody', undefined, undefined, ['s'], ['s'], 403],
    ['nobody, nothing required', undefined, undefined, ['s'], [], [nobody]],
  ];
};

const testing = async () => {
  for (const [name, who, authorizedScopes, clientScopes, requiredScopes, end] of scenarios()) {
    const client = authOf(who, authorizedScopes ? { authorizedScopes } : {});
    const found = await client.testAuthenticate({ clientScopes, requiredScopes })
      .then(answer => [answer.clientId, answer.scopes], error => error.statusCode);
    const expected = typeof end === 'number' ? end : [who?.clientId ?? 'auth-failed:no-auth', end];
    assert.deepEqual(found, expected, name);
  }
  ok(`${scenarios().length} ways to call testAuthenticate`);

  for (const [who, more, status] of [
    [tester, {}, 200],
    [{ ...tester, accessToken: 'wrong' }, {}, 401],
    [tester, { authorizedScopes: ['test:authenticate-get'] }, 200],
    [tester, { authorizedScopes: ['test:other'] }, 403],
    [tester, { authorizedScopes: ['other'] }, 401],
    [temporary(tester, ['test:*']), {}, 200],
    [temporary(tester, ['test:*'], 'test:named'), {}, 200],
    [temporary(tester, ['test:*'], 'other'), {}, 401],
    [temporary(tester, ['test:*'], undefined, '-2 hours', '-1 hour'), {}, 401],
  ]) {
    const client = authOf(who, more);
    const url = client.buildSignedUrl(client.testAuthenticateGet, { expiration: 60 });
    assert.equal((await fetch(url)).status, status);
    const called = await client.testAuthenticateGet().then(() => 200, error => error.statusCode);
    assert.equal(called, status);
  }
  ok('testAuthenticateGet by header and by signed URL, accepted and refused');
};

// How a call of each method ends whose service is not configured, or that no step before has called.
const everyMethod = async auth => {
  const request = { method: 'get', resource: '/x', host: 'example.com', port: 443 };
  const repo = { permissions: { contents: 'read' }, repositories: ['repo'] };
  const table = {
    ping: [[]],
    lbheartbeat: [[]],
    heartbeat: [[]],
    version: [[]],
    listRoles2: [[]],
    role: [['anonymous']],
    authenticateHawk: [[request]],
    updateClient: [[`${place}/issuer`, definition([])]],
    getEntityHistory: [['client', `${place}/issuer`]],
    listAuditHistory: [[root.clientId]],
    awsS3Credentials: [['read-only', 'bucket', 'a/b'], 404],
    azureAccounts: [[]],
    azureTables: [['account'], 404],
    azureTableSAS: [['account', 'table', 'read-only'], 404],
    azureContainers: [['account'], 404],
    azureContainerSAS: [['account', 'container', 'read-write'], 404],
    sentryDSN: [['project'], 404],
    websocktunnelToken: [['audience', 'client'], 404],
    gcpCredentials: [['-', 'a@b.example.com'], 400],
    githubRepoToken: [['app', 'owner', repo], 404],
  };
  for (const [method, [args, status]] of Object.entries(table)) {
    if (!methods.includes(method)) {
      continue;
    }
    const found = await auth[method](...args).then(() => undefined, error => error.statusCode);
    assert.equal(found, status, method);
  }
  assert.deepEqual(methods.filter(method => !called.has(method)), []);
  ok(`each of the ${methods.length} methods that this client has was called`);
};

const main = async () => {
  const auth = authOf(root);
  assert.equal((await auth.ping()).alive, true);
  await clients(auth);
  await roles(auth);
  await issued(auth);
  await testing();
  const nobody = authOf();
  await nobody.listRoles();
  await refused(403, 'InsufficientScopes', nobody.createClient(`${place}/x`, definition([])));
  ok('anonymous callers read what is public, and change nothing (403)');
  await everyMethod(auth);
  console.log('done');
};

await main();
