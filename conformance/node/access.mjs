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
  new taskcluster.Auth({ rootUrl, credentials, retries: 0, ...more });

const ok = step => console.log(`ok ${step}`);

const definition = (scopes, expires = '1 hour') => ({
  expires: taskcluster.fromNowJSON(expires),
  description: 'made by a conformance test',
  scopes,
});

const credentialsOf = ({ clientId, accessToken }) => ({ clientId, accessToken });

const temporary = (credentials, scopes, clientId) =>
  taskcluster.createTemporaryCredentials({
    clientId,
    start: taskcluster.fromNow('-1 minute'),
    expiry: taskcluster.fromNow('1 hour'),
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

const testing = async () => {
  const request = { clientScopes: ['s:*'], requiredScopes: ['s:1'] };
  assert.deepEqual(await authOf(tester).testAuthenticate(request), {
    clientId: 'tester',
    scopes: ['assume:anonymous', 's:*'],
  });
  const wrong = authOf({ ...tester, accessToken: 'wrong' });
  await refused(401, 'AuthenticationFailed', wrong.testAuthenticate(request));
  await refused(403, 'InsufficientScopes',
    authOf(tester).testAuthenticate({ clientScopes: [], requiredScopes: ['s'] }));
  // Signed with an empty list of scopes, and good all the same.
  const empty = await authOf(temporary(tester, []))
    .testAuthenticate({ clientScopes: ['s'], requiredScopes: [] });
  assert.deepEqual(empty.scopes, ['assume:anonymous']);
  assert.equal((await authOf(tester).testAuthenticateGet()).clientId, 'tester');
  ok('testAuthenticate and testAuthenticateGet');
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
  console.log('done');
};

await main();
