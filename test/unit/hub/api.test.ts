import {once} from 'node:events';
import {request} from 'node:http';
import type {AddressInfo} from 'node:net';
import {expect, test, vi} from 'vitest';
import {systemClock} from '../../../src/lib/core/clock.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {Callers} from '../../../src/lib/hub/api/callers.js';
import {HubServer} from '../../../src/lib/hub/api/server.js';
import {Homes} from '../../../src/lib/hub/homes.js';
import {commandProgram} from '../../../src/lib/hub/programs/command.js';
import {SessionFolder} from '../../../src/lib/hub/session-folder.js';
import {Sessions} from '../../../src/lib/hub/sessions.js';
import type {Template} from '../../../src/lib/hub/template.js';
import {HubTokens} from '../../../src/lib/hub/tokens.js';
import {HubUsers} from '../../../src/lib/hub/users.js';
import {FakeSandboxes} from '../../helpers/fake-sandboxes.js';
import {Scope} from '../../helpers/scope.js';

const TEMPLATE: Template = {
  name: 'web',
  title: 'Web',
  program: commandProgram({command: ['serve'], path: '/?token={secret}', readyPath: '/'}),
  port: 8080,
  backend: 'auto',
  limits: {},
  bestEffort: false,
  egress: {kind: 'none'},
  mounts: [],
  env: {},
  home: 'ephemeral',
  timeoutMs: 0,
  idleMs: 0,
  readyTimeoutMs: 10_000,
  restart: 'never',
};

async function hub(scope: Scope, {readyTimeoutMs = 10_000}: {readyTimeoutMs?: number} = {}) {
  const stateDir = await scope.tempDir('hub');
  const users = new HubUsers(stateDir);
  const tokens = new HubTokens(stateDir, systemClock);
  const templates = new Map([['web', TEMPLATE]]);
  const sandboxes = new FakeSandboxes();
  scope.onEnd(() => sandboxes.closeAll());
  const log = createLogger('hub', undefined);
  const sessions = new Sessions({
    templates,
    sandboxes,
    folder: await SessionFolder.open(stateDir),
    homes: new Homes(stateDir),
    stateDir,
    userById: (id) => users.byId(id),
    addressOf: (label) => ({url: `https://${label}.relay.test`, host: `${label}.relay.test`}),
    mostSessions: 100,
    startsAtOnce: 4,
    mostQueued: 100,
    floors: {freeMemoryBytes: 0, freeDiskBytes: 0},
    clock: systemClock,
    log,
  });
  const tokenOf = async (name: string, scopes?: readonly string[]) => {
    const user = await users.add(name, 5);
    return (await tokens.make(user, scopes === undefined ? {} : {scopes})).token;
  };
  const ana = await tokenOf('ana');
  const ben = await tokenOf('ben');
  const admin = await tokenOf('root', ['hub:admin']);
  await tokens.registry.start();
  scope.onEnd(() => tokens.registry.close());
  const callers = new Callers({tokens: tokens.registry, userById: (id) => users.byId(id)});
  const server = new HubServer({
    sessions,
    templates,
    readyTimeoutMs,
    callers,
    clock: systemClock,
    log,
    url: () => 'https://hub.relay.test',
  });
  server.server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  scope.onEnd(() => server.close());
  const base = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  const ask = (token: string | undefined, method: string, path: string, more: RequestInit = {}) =>
    fetch(`${base}${path}`, {
      method,
      redirect: 'manual',
      ...more,
      headers: {...(token !== undefined && {authorization: `Bearer ${token}`}), ...more.headers},
    });
  return {base, ask, ana, ben, admin, sandboxes, sessions, users, tokens};
}

const JSON_ANSWER = {accept: 'application/json'};

test('POST / with a right token leads to a new notebook each time', async () => {
  await using scope = new Scope();
  const {ask, ana} = await hub(scope);
  const answers = await Promise.all([ask(ana, 'POST', '/'), ask(ana, 'POST', '/', {body: ''})]);
  expect(answers.map(({status}) => status)).toEqual([303, 303]);
  const [one, two] = answers.map(({headers}) => headers.get('location'));
  expect(one).toMatch(/^https:\/\/n\w{11}\.relay\.test\/\?token=[\w-]{32}$/);
  expect(two).not.toBe(one);
});

test.each([
  ['no token', undefined],
  ['an unknown token', `tunl_hub_aaaaaaaaaa_${'x'.repeat(43)}_000000`],
  ['no token of a hub', 'hello'],
])('%s: 401, and nothing starts', async (_, token) => {
  await using scope = new Scope();
  const {ask, sandboxes} = await hub(scope);
  const answer = await ask(token, 'POST', '/');
  expect(answer.status).toBe(401);
  expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="tunl hub"');
  expect(await answer.json()).toMatchObject({
    status: 401,
    code: token === undefined ? 'TOKEN_MISSING' : 'TOKEN_WRONG',
  });
  expect(sandboxes.all).toHaveLength(0);
});

test('a revoked token is told so', async () => {
  await using scope = new Scope();
  const {ask, ben, tokens, users} = await hub(scope);
  expect(await tokens.revokeOf((await users.find('ben')).id)).toBe(1);
  await vi.waitFor(async () => {
    const answer = await ask(ben, 'GET', '/v1/me');
    expect([answer.status, ((await answer.json()) as {code?: string}).code]).toEqual([401, 'TOKEN_REVOKED']);
  }, 5_000);
});

test('too many wrong tokens from one address have to wait', async () => {
  await using scope = new Scope();
  const {ask, ana} = await hub(scope);
  const wrong = `${ana.slice(0, -8)}0_000000`;
  const answers = await Promise.all(Array.from({length: 15}, () => ask(wrong, 'GET', '/v1/me')));
  const statuses = answers.map(({status}) => status);
  expect(statuses.filter((status) => status === 401)).toHaveLength(10);
  expect(statuses.filter((status) => status === 429)).toHaveLength(5);
});

test('POST /v1/sessions answers JSON, at once or when it is ready', async () => {
  await using scope = new Scope();
  const {ask, ana} = await hub(scope);
  const body = JSON.stringify({template: 'web', name: 'thesis'});
  const later = await ask(ana, 'POST', '/v1/sessions', {
    body,
    headers: {...JSON_ANSWER, 'content-type': 'application/json', prefer: 'respond-async'},
  });
  expect(later.status).toBe(202);
  const {id} = (await later.json()) as {id: string};
  expect(later.headers.get('location')).toBe(`/v1/sessions/${id}`);
  const ready = await ask(ana, 'POST', '/v1/sessions', {
    body,
    headers: {...JSON_ANSWER, 'content-type': 'application/json'},
  });
  expect(ready.status).toBe(201);
  expect(await ready.json()).toMatchObject({id, state: 'ready', name: 'thesis', user: 'ana'});
});

test('a program that ends at once is a 502 with its last lines, one that is late a 504', async () => {
  await using scope = new Scope();
  const {ask, ana, sandboxes} = await hub(scope, {readyTimeoutMs: 200});
  sandboxes.onStart = (sandbox) => {
    sandbox.output = 'no module named jupyterlab\n';
    sandbox.end({reason: 'exited', code: 1});
  };
  const failed = await ask(ana, 'POST', '/', {});
  expect(failed.status).toBe(502);
  expect(await failed.json()).toMatchObject({code: 'HUB_FAILED', tail: ['no module named jupyterlab']});
  sandboxes.onStart = (sandbox) => {
    sandbox.output = 'still loading\n';
  };
  const late = await ask(ana, 'POST', '/', {});
  expect(late.status).toBe(504);
  expect(await late.json()).toMatchObject({code: 'HUB_NOT_READY', tail: ['still loading']});
});

test('nobody sees, extends or stops the session of somebody else; an administrator does', async () => {
  await using scope = new Scope();
  const {ask, ana, ben, admin} = await hub(scope);
  const made = await ask(ana, 'POST', '/v1/sessions', {headers: JSON_ANSWER});
  const {id} = (await made.json()) as {id: string};
  const tries = [
    ['GET', `/v1/sessions/${id}`],
    ['GET', `/v1/sessions/${id}/logs`],
    ['GET', `/v1/sessions/${id}/events`],
    ['DELETE', `/v1/sessions/${id}`],
  ] as const;
  for (const [method, path] of tries) expect((await ask(ben, method, path)).status).toBe(404);
  expect(await (await ask(ben, 'GET', '/v1/sessions')).json()).toEqual([]);
  expect((await ask(ben, 'GET', '/v1/sessions?all=true')).status).toBe(403);
  expect(await (await ask(admin, 'GET', '/v1/sessions?all=true')).json()).toMatchObject([
    {id, user: 'ana', url: expect.stringMatching(/^https:\/\/n\w{11}\.relay\.test$/)},
  ]);
  const stopped = await ask(admin, 'DELETE', `/v1/sessions/${id}`);
  expect(await stopped.json()).toMatchObject({
    state: 'stopped',
    end: {detail: 'An administrator stopped it.'},
  });
});

test.each([
  ['a name that is a path', '{"name":"../x"}', 400],
  ['an unknown field', '{"mounts":["/"]}', 400],
  ['no JSON', '{', 400],
  ['a list', '[]', 400],
  ['an unknown template', '{"template":"root"}', 400],
  ['10 MB', `{"name":"${'x'.repeat(10_000_000)}"}`, 413],
])('%s is refused', async (_, body, status) => {
  await using scope = new Scope();
  const {ask, ana, sandboxes} = await hub(scope);
  const answer = await ask(ana, 'POST', '/v1/sessions', {
    body,
    headers: {'content-type': 'application/json'},
  });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(sandboxes.all).toHaveLength(0);
});

test('a client that leaves does not stop the start, and a repeated request joins it', async () => {
  await using scope = new Scope();
  const {base, ask, ana, sandboxes} = await hub(scope);
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  sandboxes.onStart = async (sandbox) => {
    begun.resolve();
    await go.promise;
    await sandbox.listen();
  };
  const headers = {authorization: `Bearer ${ana}`, 'idempotency-key': 'once', ...JSON_ANSWER};
  const leaving = request(`${base}/v1/sessions`, {method: 'POST', headers});
  leaving.on('error', () => {});
  leaving.end();
  await begun.promise;
  leaving.destroy();
  const again = ask(ana, 'POST', '/v1/sessions', {headers});
  go.resolve();
  expect(await (await again).json()).toMatchObject({state: 'ready'});
  expect(sandboxes.all).toHaveLength(1);
});

test('the output comes without the token, and events tell each state', async () => {
  await using scope = new Scope();
  const {ask, ana, sandboxes} = await hub(scope);
  const events = await ask(ana, 'GET', '/v1/events');
  const reader = (events.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  const made = await ask(ana, 'POST', '/v1/sessions', {headers: JSON_ANSWER});
  const {id, url} = (await made.json()) as {id: string; url: string};
  let text = '';
  await vi.waitFor(async () => {
    text += (await reader.read()).value ?? '';
    expect(text).toMatch(/"state":"starting".*"state":"ready"/s);
  });
  await reader.cancel();
  const [sandbox] = sandboxes.all;
  const token = new URL(url).searchParams.get('token') ?? '';
  if (sandbox !== undefined) sandbox.output = `listening at ?token=${token}\n`;
  expect(token).not.toBe('');
  expect(await (await ask(ana, 'GET', `/v1/sessions/${id}/logs`)).text()).toBe('listening at ?token=…\n');
});

test('what the table of routes says is in the document, and nothing else is served', async () => {
  await using scope = new Scope();
  const {ask, ana} = await hub(scope);
  const document = (await (await ask(undefined, 'GET', '/openapi.json')).json()) as {
    openapi: string;
    paths: Record<string, Record<string, {requestBody?: unknown}>>;
  };
  expect(document.openapi).toBe('3.1.0');
  expect(document.paths['/v1/sessions']?.post?.requestBody).toMatchObject({
    content: {'application/json': {schema: {additionalProperties: false}}},
  });
  expect((await ask(ana, 'PUT', '/v1/sessions')).status).toBe(405);
  expect((await ask(ana, 'GET', '/v1/other')).status).toBe(404);
});
