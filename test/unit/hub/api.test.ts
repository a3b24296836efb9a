import {once} from 'node:events';
import {type IncomingMessage, request, type ServerResponse} from 'node:http';
import {type AddressInfo, connect} from 'node:net';
import {Writable} from 'node:stream';
import {expect, test, vi} from 'vitest';
import {type Clock, systemClock} from '../../../src/lib/core/clock.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {Callers} from '../../../src/lib/hub/api/callers.js';
import {EventStreams} from '../../../src/lib/hub/api/events.js';
import {LongAnswers, MOST_UNREAD} from '../../../src/lib/hub/api/long-answers.js';
import {Pages} from '../../../src/lib/hub/api/pages.js';
import {addressOf, HubServer} from '../../../src/lib/hub/api/server.js';
import {Homes} from '../../../src/lib/hub/homes.js';
import {OPERATOR} from '../../../src/lib/hub/operator.js';
import type {SessionView} from '../../../src/lib/hub/session.js';
import {SessionFolder} from '../../../src/lib/hub/session-folder.js';
import {Sessions} from '../../../src/lib/hub/sessions.js';
import {HubTokens} from '../../../src/lib/hub/tokens.js';
import {HubUsers} from '../../../src/lib/hub/users.js';
import {eventually} from '../../helpers/eventually.js';
import {FakeSandboxes} from '../../helpers/fake-sandboxes.js';
import {hubTemplate} from '../../helpers/hub-template.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {Scope} from '../../helpers/scope.js';

interface HubMore {
  readyTimeoutMs?: number;
  clock?: Clock;
  /** Before each caller is known. */
  before?: () => Promise<void>;
  wallNow?: () => number;
}

async function hub(
  scope: Scope,
  {readyTimeoutMs = 10_000, clock = systemClock, before = async () => {}, wallNow = Date.now}: HubMore = {},
) {
  const stateDir = await scope.tempDir('hub');
  const users = new HubUsers(stateDir);
  const tokens = new HubTokens(stateDir, systemClock);
  const templates = new Map([['web', hubTemplate()]]);
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
  const onEvent = vi.spyOn(sessions, 'onEvent');
  const tell = (...about: Parameters<Parameters<Sessions['onEvent']>[0]>) => {
    for (const [listener] of onEvent.mock.calls) listener(...about);
  };
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
  const url = () => ORIGIN;
  const server = new HubServer({
    sessions,
    templates,
    readyTimeoutMs,
    callers: {
      byHeader: async (...about) => {
        await before();
        return await callers.byHeader(...about);
      },
      of: (principal) => callers.of(principal),
    },
    clock,
    log,
    url,
    pages: new Pages({callers, url, addressOf, wallNow}),
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
  return {base, ask, ana, ben, admin, sandboxes, sessions, users, tokens, tell, server: server.server};
}

const ORIGIN = 'https://hub.relay.test';

/** Returns the cookie of a page. */
async function signIn(ask: Awaited<ReturnType<typeof hub>>['ask'], token: string): Promise<string> {
  const headers = {'content-type': 'application/json', origin: ORIGIN};
  const answer = await ask(undefined, 'POST', '/sign-in', {body: JSON.stringify({token}), headers});
  expect(answer.status).toBe(204);
  return answer.headers.get('set-cookie')?.split(';')[0] ?? '';
}

const VIEW: SessionView = {id: 's_1', user: 'ana', template: 'web', state: 'failed', createdAt: 0};

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
  await eventually(async () => {
    const answer = await ask(ben, 'GET', '/v1/me');
    expect([answer.status, ((await answer.json()) as {code?: string}).code]).toEqual([401, 'TOKEN_REVOKED']);
  });
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
    ['POST', `/v1/sessions/${id}/restart`],
    ['DELETE', `/v1/sessions/${id}`],
  ] as const;
  for (const [method, path] of tries) expect((await ask(ben, method, path)).status).toBe(404);
  expect(await (await ask(ben, 'GET', '/v1/sessions')).json()).toEqual([]);
  expect((await ask(ben, 'GET', '/v1/sessions?all=true')).status).toBe(403);
  expect(await (await ask(admin, 'GET', '/v1/sessions?all=true')).json()).toMatchObject([
    {id, user: 'ana', url: expect.stringMatching(/^https:\/\/n\w{11}\.relay\.test$/)},
  ]);
  const restarted = await ask(admin, 'POST', `/v1/sessions/${id}/restart`);
  expect(restarted.status).toBe(200);
  expect(await restarted.json()).toMatchObject({
    id,
    state: 'ready',
    url: expect.not.stringContaining('token'),
  });
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
  await eventually(async () => {
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

/** Opens a stream, and resolves with its end when its first bytes have come. */
async function follow(answer: Response): Promise<{readonly ended: Promise<void>; text: () => string}> {
  expect(answer.status).toBe(200);
  const reader = (answer.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const take = async () => {
    const {done, value = ''} = await reader.read();
    text += value;
    return !done;
  };
  await take();
  const rest = async () => {
    while (await take().catch(() => false));
  };
  return {ended: rest(), text: () => text};
}

/** A session of ana whose output goes on. */
async function talkative({
  ask,
  ana,
  sandboxes,
}: Pick<Awaited<ReturnType<typeof hub>>, 'ask' | 'ana' | 'sandboxes'>) {
  sandboxes.onStart = async (sandbox) => {
    sandbox.output = 'hello\n';
    sandbox.goesOn = true;
    await sandbox.listen();
  };
  const made = await ask(ana, 'POST', '/v1/sessions', {headers: JSON_ANSWER});
  const {id} = (await made.json()) as {id: string};
  return id;
}

test.each([
  [
    'a token is revoked',
    async ({tokens, users}: Awaited<ReturnType<typeof hub>>) => {
      await tokens.revokeOf((await users.find('ana')).id);
    },
  ],
  [
    'a user is removed',
    async ({users}: Awaited<ReturnType<typeof hub>>) => {
      await users.remove('ana');
    },
  ],
])('when %s, events and output end', async (_, change) => {
  await using scope = new Scope();
  const clock = new ManualClock();
  const each = await hub(scope, {clock});
  const {ask, ana, ben} = each;
  const id = await talkative(each);
  const mine = await Promise.all(
    ['/v1/events', `/v1/sessions/${id}/events`, `/v1/sessions/${id}/logs?follow=true`].map(async (path) =>
      follow(await ask(ana, 'GET', path)),
    ),
  );
  const other = await follow(await ask(ben, 'GET', '/v1/events'));
  await change(each);
  await eventually(async () => expect((await ask(ana, 'GET', '/v1/me')).status).toBeGreaterThan(400));
  clock.advance(25_000);
  await Promise.all(mine.map(({ended}) => ended));
  await eventually(() => expect(other.text()).toContain('\n:\n'));
});

test('nothing is written to a stream whose token has ended', async () => {
  await using scope = new Scope();
  const {ask, ana, tokens, users, sessions, tell} = await hub(scope, {clock: new ManualClock()});
  const made = await ask(ana, 'POST', '/v1/sessions', {headers: JSON_ANSWER});
  const {id} = (await made.json()) as {id: string};
  const stream = await follow(await ask(ana, 'GET', '/v1/events'));
  const user = await users.find('ana');
  await tokens.revokeOf(user.id);
  await eventually(async () => expect((await ask(ana, 'GET', '/v1/me')).status).toBe(401));
  const session = sessions.view(id);
  if (session === undefined) throw new Error('no session');
  tell({type: 'warning', session, at: 0, reason: 'idle'}, user.id);
  await stream.ended;
  expect(stream.text()).not.toContain('event: warning');
});

test.each([
  ['the user signs out', false],
  ['the time of a sign-in is over', true],
])('when %s, its events and output end, and tell nothing more', async (_, isLate) => {
  await using scope = new Scope();
  const clock = new ManualClock();
  let now = Date.now();
  const each = await hub(scope, {clock, wallNow: () => now});
  const {ask, ana, sessions, users, tell} = each;
  const id = await talkative(each);
  const [cookie, other] = [await signIn(ask, ana), await signIn(ask, ana)];
  const read = async (path: string, headers: Record<string, string>) =>
    follow(await ask(undefined, 'GET', path, {headers}));
  const [events, logs] = await Promise.all([
    read('/v1/events', {cookie}),
    read(`/v1/sessions/${id}/logs?follow=true`, {cookie}),
  ]);
  if (isLate) now += 12 * 3_600_000 + 1;
  const others = await read('/v1/events', {cookie: isLate ? await signIn(ask, ana) : other});
  if (!isLate) await ask(undefined, 'POST', '/sign-out', {headers: {cookie, origin: ORIGIN}});
  const session = sessions.view(id);
  if (session === undefined) throw new Error('no session');
  tell({type: 'warning', session, at: 0, reason: 'idle'}, (await users.find('ana')).id);
  await events.ended;
  expect(events.text()).not.toContain('event: warning');
  if (isLate) clock.advance(25_000);
  await logs.ended;
  await eventually(() => expect(others.text()).toContain('event: warning'));
});

test('a client that leaves before it is known takes no place of a stream', async () => {
  await using scope = new Scope();
  const known = Promise.withResolvers<void>();
  let asked = 0;
  const {ask, ana, base, server} = await hub(scope, {
    before: async () => {
      asked += 1;
      await known.promise;
    },
  });
  let left = 0;
  server.on('request', (_, res) => res.on('close', () => (left += 1)));
  const headers = {authorization: `Bearer ${ana}`};
  const leaving = Array.from({length: 16}, () => request(`${base}/v1/events`, {headers, agent: false}));
  for (const each of leaving) each.on('error', () => {}).end();
  await eventually(() => expect(asked).toBe(16));
  for (const each of leaving) each.destroy();
  await eventually(() => expect(left).toBe(16));
  known.resolve();
  // The answer to a later request comes after those that nobody reads.
  await ask(ana, 'GET', '/v1/me');
  const again = await ask(ana, 'GET', '/v1/events');
  expect(again.status).toBe(200);
  await again.body?.cancel();
});

test('a user has a limited number of open requests, and others go on', async () => {
  await using scope = new Scope();
  const {ask, ana, ben, sandboxes} = await hub(scope);
  const go = Promise.withResolvers<void>();
  sandboxes.onStart = async (sandbox) => {
    await go.promise;
    await sandbox.listen();
  };
  const body = JSON.stringify({name: 'one'});
  const headers = {...JSON_ANSWER, 'content-type': 'application/json'};
  const answers = Array.from({length: 40}, () => ask(ana, 'POST', '/v1/sessions', {body, headers}));
  let refused = 0;
  for (const answer of answers) void answer.then(({status}) => (refused += Number(status === 429)));
  await eventually(() => expect(refused).toBe(8));
  expect((await ask(ben, 'GET', '/v1/me')).status).toBe(200);
  go.resolve();
  const statuses = (await Promise.all(answers)).map(({status}) => status);
  expect(statuses.filter((status) => status === 201)).toHaveLength(32);
  expect((await ask(ana, 'GET', '/v1/me')).status).toBe(200);
});

test.each([
  ['begins to sign in', `POST /sign-in HTTP/1.1\r\nOrigin: ${ORIGIN}\r\nContent-Length: 100\r\n`],
  ['goes on sending after its answer', 'POST /v1/sessions HTTP/1.1\r\nContent-Length: 100\r\n'],
  ['is quiet after its answer', 'GET /healthz HTTP/1.1\r\n'],
])('an address that %s on all connections keeps out nobody else', async (_, head) => {
  await using scope = new Scope();
  const {ask, ana, base, server} = await hub(scope);
  server.maxConnections = 600;
  const asked = Promise.withResolvers<void>();
  let requests = 0;
  server.on('request', () => {
    requests += 1;
    if (requests === 600) asked.resolve();
  });
  const bytes = `${head}Host: hub\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n${head.startsWith('GET') ? '' : '{'}`;
  let open = 600;
  for (let count = 0; count < 600; count += 1) {
    const socket = connect(Number(new URL(base).port), '127.0.0.1', () => socket.write(bytes));
    socket.on('error', () => {}).on('close', () => (open -= 1));
    socket.resume();
    scope.onEnd(() => void socket.destroy());
  }
  await asked.promise;
  const other = {headers: {'x-forwarded-for': '192.0.2.2'}};
  expect((await ask(ana, 'GET', '/v1/me', other)).status).toBe(200);
  expect((await ask(undefined, 'GET', '/healthz', other)).status).toBe(200);
  await eventually(() => expect(open).toBeLessThan(512));
  expect(open).toBeGreaterThan(500);
});

test('a user with the name of an earlier one gets nothing that opens the sessions of that one', async () => {
  await using scope = new Scope();
  const {ask, ana, users, tokens} = await hub(scope);
  const made = await ask(ana, 'POST', '/v1/sessions', {headers: JSON_ANSWER});
  expect(await made.json()).toMatchObject({own: true, url: expect.stringContaining('token=')});
  await users.remove('ana');
  const {token} = await tokens.make(await users.add('ana', 1), {scopes: ['hub:admin']});
  await eventually(async () => {
    const answer = await ask(token, 'GET', '/v1/sessions?all=true');
    expect(answer.status).toBe(200);
    const [view] = (await answer.json()) as [{own?: boolean; user: string; url: string}];
    expect(view.user).toBe('ana');
    expect(view.own).toBeUndefined();
    expect(view.url).not.toContain('token=');
  });
});

test('a client that reads nothing gets no more than it may leave unread', async () => {
  const clock = new ManualClock();
  const session = {...VIEW, end: {reason: 'exited' as const, detail: '', tail: ['x'.repeat(50_000)]}};
  const views = Array.from({length: 40}, (_, place) => ({...session, id: `s_${place}`}));
  const listeners: Parameters<Sessions['onEvent']>[0][] = [];
  const sessions = {
    list: () => views,
    view: (id: string) => views.find((each) => each.id === id),
    ownerOf: () => 'u_1',
    onEvent: (listener: (typeof listeners)[number]) => {
      listeners.push(listener);
      return () => {};
    },
  } as unknown as Sessions;
  const answers = new LongAnswers({}, clock);
  const streams = new EventStreams(sessions, clock, answers);
  const stuck = new Writable({write: () => {}});
  const res = Object.assign(stuck, {writeHead: () => {}, req: {method: 'GET'}}) as unknown as ServerResponse;
  const gone = new AbortController();
  stuck.on('close', () => gone.abort());
  const stream = {
    res,
    caller: OPERATOR,
    of: undefined,
    sees: () => true,
    show: (view: SessionView) => view,
    gone: gone.signal,
  };
  const first = streams.add(stream);
  expect(stuck.writableLength).toBeLessThan(100_000);
  for (const view of views)
    for (const listener of listeners)
      listener({type: 'warning', session: view, at: 0, reason: 'idle'}, 'u_1');
  expect(stuck.destroyed).toBe(true);
  expect(stuck.writableLength).toBeLessThan(MOST_UNREAD + 60_000);
  await first;
  // One that has gone already takes no place: there are 16 for a user.
  for (let count = 0; count < 17; count++) await streams.add({...stream});
  streams.close();
  answers.close();
  expect(clock.pending).toBe(0);
});

test('many changes of one session in one turn are one event, the last', async () => {
  await using scope = new Scope();
  const {ask, ana, sessions, tell} = await hub(scope);
  const made = await ask(ana, 'POST', '/v1/sessions', {headers: JSON_ANSWER});
  const {id} = (await made.json()) as {id: string};
  const stream = await follow(await ask(ana, 'GET', `/v1/sessions/${id}/events`));
  await eventually(() => expect(stream.text()).toContain('event: state'));
  const before = stream.text().length;
  const session = sessions.view(id);
  const owner = sessions.ownerOf(id);
  if (session === undefined || owner === undefined) throw new Error('no session');
  for (const queued of Array(50).keys()) tell({type: 'state', session: {...session, queued}}, owner);
  await eventually(() => expect(stream.text().slice(before)).toContain('"queued":49'));
  expect(
    stream
      .text()
      .slice(before)
      .match(/event: state/g),
  ).toHaveLength(1);
});

test.each([
  ['//', 400],
  ['//hub/v1/me', 400],
  ['http://[', 400],
])('the path %s is refused', async (path, status) => {
  await using scope = new Scope();
  const {base} = await hub(scope);
  const asked = request(base, {path}).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.resume();
  expect(answer.statusCode).toBe(status);
});

test.each([
  [undefined, 200],
  ['same-origin', 200],
  ['same-site', 403],
  ['cross-site', 403],
  ['none', 403],
])('a read by cookie with Sec-Fetch-Site %s: %i', async (site, status) => {
  await using scope = new Scope();
  const {ask, ana} = await hub(scope);
  const cookie = await signIn(ask, ana);
  const headers = {cookie, ...(site !== undefined && {'sec-fetch-site': site})};
  const answer = await ask(undefined, 'GET', '/v1/me', {headers});
  expect(answer.status).toBe(status);
  expect(answer.headers.get('cross-origin-resource-policy')).toBe('same-origin');
  // The page itself may be opened from anywhere.
  expect((await ask(undefined, 'GET', '/', {headers})).status).toBe(200);
});

test('a request for a name whose session does not stop in time gets an answer', async () => {
  await using scope = new Scope();
  const {ask, ana, sandboxes} = await hub(scope, {readyTimeoutMs: 500});
  const body = JSON.stringify({name: 'thesis'});
  const more = {body, headers: {...JSON_ANSWER, 'content-type': 'application/json'}};
  const made = await ask(ana, 'POST', '/v1/sessions', more);
  const {id} = (await made.json()) as {id: string};
  for (const sandbox of sandboxes.all) sandbox.isStubborn = true;
  const stopping = ask(ana, 'DELETE', `/v1/sessions/${id}`);
  await eventually(async () => {
    const view = await ask(ana, 'GET', `/v1/sessions/${id}`);
    expect(await view.json()).toMatchObject({state: 'stopping'});
  });
  const answer = await ask(ana, 'POST', '/v1/sessions', more);
  expect([answer.status, ((await answer.json()) as {code: string}).code]).toEqual([504, 'HUB_NOT_READY']);
  for (const sandbox of sandboxes.all) sandbox.end({reason: 'terminated'});
  expect((await stopping).status).toBe(200);
});
