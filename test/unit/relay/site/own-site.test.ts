// The answers at the relay's own name, also to slow clients.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {describe, expect, test} from 'vitest';
import type {Carrier} from '../../../../src/lib/mux/carrier.js';
import {Access, type Verdict} from '../../../../src/lib/relay/access/access.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {SingleToken} from '../../../../src/lib/relay/access/single-token.js';
import {PendingConnections} from '../../../../src/lib/relay/doors/pending.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {OwnSite} from '../../../../src/lib/relay/site/own-site.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {Scope} from '../../../helpers/scope.js';

const upgrade = [
  'GET /agent HTTP/1.1',
  'Host: r1.localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: tunl.v1',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

interface SetUp {
  draining?: boolean;
  abuseContact?: string;
  token?: string;
  /** Takes its time. */
  check?: (token: string) => Promise<Verdict>;
  /** The owner has connected too often, and has to wait this long, ms. */
  tooOften?: number;
}

async function setUp(scope: Scope, {draining = false, abuseContact, token, check, tooOften}: SetUp = {}) {
  const clock = new ManualClock();
  let agents = 0;
  let answered = 0;
  let onHello = () => {};
  const events: RelayEvent[] = [];
  const carriers: Carrier[] = [];
  const pending = new PendingConnections({
    clock,
    events: {emit: (event) => void events.push(event)},
    load: {add: () => {}},
    isTrusted: () => false,
    room: {noneForConnections: false, refused: () => {}},
  });
  const site = new OwnSite({
    domain: 'r1.localhost',
    url: () => 'https://r1.localhost:8443',
    software: 'tunl/test',
    abuseContact,
    access: new Access([check && {isNeeded: true, handles: () => true, check}, new SingleToken(token)]),
    stats: () => {
      answered += 1;
      return {agents, tunnels: 0, visitors: 0};
    },
    sessions: {enter: () => tooOften},
    mayResume: () => undefined,
    onAgent: (carrier, {entered}) => {
      agents += 1;
      carriers.push(carrier);
      onHello = entered;
    },
  });
  if (draining) site.drain();
  const door = createServer({allowHalfOpen: true}, (socket) => {
    const connection = pending.admit(socket);
    if (connection?.secures('own') && connection.mayBegin()) site.accept(socket, connection);
  });
  const port = await scope.listen(door);
  const visit = async (text: string | Buffer): Promise<Socket> => {
    const accepted = once(door, 'connection');
    const socket = connect(port, '127.0.0.1');
    scope.onEnd(() => void socket.destroy());
    socket.write(text);
    await accepted;
    return socket;
  };
  return {
    clock,
    visit,
    pending,
    events,
    site,
    carriers,
    agents: () => agents,
    answered: () => answered,
    hello: () => onHello(),
  };
}

type Site = Awaited<ReturnType<typeof setUp>>;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** All bytes until the connection closes. */
async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

test.each([
  ['nothing', ''],
  ['half a request line', 'GET /hea'],
  ['headers without an end', 'GET / HTTP/1.1\r\nX-One: 1\r\n'],
])('a client that sends %s has ten seconds', async (_what, text) => {
  await using scope = new Scope();
  const {clock, visit} = await setUp(scope);
  const socket = await visit(text);
  clock.advance(9_999);
  expect(socket.destroyed).toBe(false);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  socket.resume();
  clock.advance(1);
  await closed;
  expect(clock.pending).toBe(0);
});

test('one request is answered, and the connection ends with the answer', async () => {
  await using scope = new Scope();
  const {clock, visit, answered} = await setUp(scope);
  const request = 'GET /healthz HTTP/1.1\r\nHost: r1.localhost\r\n\r\n';
  const socket = await visit(request.repeat(500));
  const answer = await heard(socket);
  expect(answer.match(/HTTP\/1\.1 /g)).toEqual(['HTTP/1.1 ']);
  expect(answer).toContain('"status":"ok"');
  // The requests after it were not even parsed.
  expect(answered()).toBe(1);
  expect(answer).toContain('\r\nConnection: close\r\n');
  expect(clock.pending).toBe(0);
});

test('a web page is no agent: an upgrade with an Origin is refused with any token', async () => {
  await using scope = new Scope();
  const {visit, agents} = await setUp(scope);
  const socket = await visit(upgrade.replace('\r\n\r\n', '\r\nOrigin: https://r1.localhost\r\n\r\n'));
  expect(await heard(socket)).toMatch(/^HTTP\/1\.1 403 [\s\S]*"code":"PROTOCOL"/);
  expect(agents()).toBe(0);
});

test('an agent has ten seconds from the accept to its hello, and no limit after it', async () => {
  await using scope = new Scope();
  const {clock, visit, agents, hello} = await setUp(scope);
  const silent = await visit(upgrade);
  expect(String((await once(silent, 'data'))[0])).toContain('101 Switching Protocols');
  clock.advance(9_999);
  expect(silent.destroyed).toBe(false);
  const closed = new Promise((resolve) => silent.once('close', resolve));
  silent.on('error', () => {});
  clock.advance(1);
  await closed;

  const greeting = await visit(upgrade);
  await once(greeting, 'data');
  expect(agents()).toBe(2);
  hello();
  clock.advance(60_000);
  greeting.write('\x81\x80\0\0\0\0');
  expect(greeting.destroyed).toBe(false);
  expect(clock.pending).toBe(0);
});

test('after twenty refused tokens the next ones of that address are not checked for a while', async () => {
  await using scope = new Scope();
  const {clock, visit, agents, events} = await setUp(scope, {token: 'secret'});
  const withToken = (token: string) =>
    upgrade.replace('\r\n\r\n', `\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  for (let i = 0; i < 20; i++)
    expect(await heard(await visit(withToken(`wrong-${i}`)))).toMatch(/^HTTP\/1\.1 401 /);
  const answer = await heard(await visit(withToken('secret')));
  expect(answer).toMatch(/^HTTP\/1\.1 429 [\s\S]*Retry-After: 2\r\n[\s\S]*"code":"RELAY_BUSY"/);
  expect(agents()).toBe(0);
  clock.advance(2_000);
  expect(String((await once(await visit(withToken('secret')), 'data'))[0])).toContain('101 Switching');
  expect(agents()).toBe(1);
  clock.advance(10_000);
  expect(events).toEqual([
    {type: 'token-refused', from: '127.0.0.1'},
    {type: 'token-refused', from: '127.0.0.1', times: 19},
  ]);
  expect(JSON.stringify(events)).not.toContain('wrong-');
});

test('a relay that shuts down accepts no agents, says when to come back, and is not healthy', async () => {
  await using scope = new Scope();
  const {visit, agents} = await setUp(scope, {draining: true});
  const refused = String((await once(await visit(upgrade), 'data'))[0]);
  expect(refused).toMatch(/^HTTP\/1\.1 503 /);
  expect(refused).toContain('\r\nRetry-After: 1\r\n');
  expect(refused).toContain('"code":"RELAY_BUSY"');
  expect(agents()).toBe(0);
  const health = await visit('GET /healthz HTTP/1.1\r\nHost: r1.localhost\r\n\r\n');
  expect(String((await once(health, 'data'))[0])).toMatch(/^HTTP\/1\.1 503 [\s\S]*"status":"draining"/);
});

test.each([
  ['no token', upgrade, 'TOKEN_MISSING'],
  ['a wrong one', upgrade.replace('\r\n\r\n', '\r\nAuthorization: Bearer wrong\r\n\r\n'), 'TOKEN_WRONG'],
  ['its beginning', upgrade.replace('\r\n\r\n', '\r\nAuthorization: Bearer secr\r\n\r\n'), 'TOKEN_WRONG'],
  ['another scheme', upgrade.replace('\r\n\r\n', '\r\nAuthorization: Basic secret\r\n\r\n'), 'TOKEN_MISSING'],
])('an agent that shows %s gets an answer before the upgrade', async (_what, text, code) => {
  await using scope = new Scope();
  const {visit, agents} = await setUp(scope, {token: 'secret'});
  const answer = String((await once(await visit(text), 'data'))[0]);
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  expect(answer).toContain(`"code":"${code}"`);
  expect(agents()).toBe(0);
});

test.each([
  ['GET', '/', 200, 'tunl expose 8000 --relay https://r1.localhost:8443<'],
  ['GET', '/no-such-page', 404, '{"error":{"code":"NOT_FOUND",'],
  ['POST', '/', 405, '{"error":{"code":"METHOD_NOT_ALLOWED",'],
  ['GET', '/agent', 426, '{"error":{"code":"PROTOCOL",'],
])('%s %s is answered with %i and %s', async (method, path, status, body) => {
  await using scope = new Scope();
  const {visit} = await setUp(scope);
  const answer = await heard(await visit(`${method} ${path} HTTP/1.1\r\nHost: r1.localhost\r\n\r\n`));
  expect(answer.split(' ')[1]).toBe(`${status}`);
  expect(answer.split('\r\n\r\n')[1]).toContain(body);
});

const anybody: Verdict = {ok: true, principal: unlimitedPrincipal('ana')};
const bearer = (token: string) => upgrade.replace('\r\n\r\n', `\r\nAuthorization: Bearer ${token}\r\n\r\n`);
/** A masked binary frame with a few bytes, as an agent sends it. */
const wsFrame = (text: string) =>
  Buffer.concat([Buffer.from([0x82, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

test('bytes that come while the token is being checked reach the carrier, in order', async () => {
  await using scope = new Scope();
  const asked = Promise.withResolvers<void>();
  const verdict = Promise.withResolvers<Verdict>();
  const {visit, carriers, pending} = await setUp(scope, {
    check: async () => {
      asked.resolve();
      return await verdict.promise;
    },
  });
  const socket = await visit(Buffer.concat([Buffer.from(bearer('slow')), wsFrame('one')]));
  await asked.promise;
  socket.write(wsFrame('two'));
  // The bytes have reached the relay's process when another connection gets an answer after them.
  await heard(await visit('GET /healthz HTTP/1.1\r\nHost: r1.localhost\r\n\r\n'));
  expect([carriers.length, pending.count]).toEqual([0, 1]);
  verdict.resolve(anybody);
  expect(String((await once(socket, 'data'))[0])).toContain('101 Switching');
  const text = await new Promise((resolve) => {
    let all = '';
    carriers[0]?.start({
      onData: (bytes) => {
        all += bytes.toString();
        if (all.length >= 6) resolve(all);
      },
      onDrain: () => {},
      onClose: () => {},
    });
  });
  expect(text).toBe('onetwo');
});

test('an address may have only so many tokens checked at once; others are checked meanwhile', async () => {
  await using scope = new Scope();
  const verdict = Promise.withResolvers<Verdict>();
  let checks = 0;
  const {visit, pending, agents} = await setUp(scope, {
    check: async () => {
      checks += 1;
      return await verdict.promise;
    },
  });
  const sockets: Socket[] = [];
  for (let i = 0; i < 40; i += 1) sockets.push(await visit(bearer('slow')));
  let refused = 0;
  const answers = sockets.map(async (socket) => {
    const answer = String((await once(socket, 'data'))[0]);
    if (/^HTTP\/1\.1 429 [\s\S]*"code":"RELAY_BUSY"/.test(answer)) refused += 1;
    return answer;
  });
  await until(() => refused === 8);
  verdict.resolve(anybody);
  const all = await Promise.all(answers);
  expect(all.filter((answer) => answer.includes('101 Switching'))).toHaveLength(32);
  expect(all.filter((answer) => answer.startsWith('HTTP/1.1 429 '))).toHaveLength(8);
  expect([checks, agents()]).toEqual([32, 32]);
  // Refusals of this kind are no failed logins.
  expect(String((await once(await visit(bearer('next')), 'data'))[0])).toContain('101 Switching');
  expect(pending.count).toBeLessThanOrEqual(41);
});

test.each([
  ['has no time left', ({clock}: Site) => clock.advance(10_000), ''],
  ['gets no answer because the relay drains', ({site}: Site) => site.drain(), 'HTTP/1.1 503 '],
] as const)('an agent that %s while its token is checked becomes no agent', async (_what, act, answer) => {
  await using scope = new Scope();
  const asked = Promise.withResolvers<void>();
  const verdict = Promise.withResolvers<Verdict>();
  const world = await setUp(scope, {
    check: async () => {
      asked.resolve();
      return await verdict.promise;
    },
  });
  const socket = await world.visit(bearer('slow'));
  const text = heard(socket);
  await asked.promise;
  act(world);
  verdict.resolve(anybody);
  expect((await text).slice(0, 13)).toBe(answer);
  expect([world.agents(), world.carriers.length]).toEqual([0, 0]);
});

test('a check that fails is no failed login: the agent comes back', async () => {
  await using scope = new Scope();
  const {visit, events} = await setUp(scope, {check: () => Promise.reject(new Error('no'))});
  for (let i = 0; i < 25; i += 1)
    expect(await heard(await visit(bearer('any')))).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 1\r\n/);
  expect(events).toEqual([]);
});

describe('requests of agents without a link', () => {
  const get = (path: string, token?: string) =>
    `GET ${path} HTTP/1.1\r\nHost: r1.localhost\r\n${token === undefined ? '' : `Authorization: Bearer ${token}\r\n`}\r\n`;
  const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));

  test('facts about the relay are for everybody', async () => {
    await using scope = new Scope();
    for (const token of [undefined, 'right-right-right']) {
      const {visit} = await setUp(scope, {...(token !== undefined && {token})});
      const answer = await heard(await visit(get('/.well-known/tunl')));
      expect(bodyOf(answer)).toEqual({
        software: 'tunl/test',
        domain: 'r1.localhost',
        token: token !== undefined,
      });
    }
  });

  test('whoami tells the identity in a token, and refuses others as an upgrade does', async () => {
    await using scope = new Scope();
    const token = 'right-right-right';
    const {visit, events} = await setUp(scope, {token});
    const right = await heard(await visit(get('/agent/whoami', token)));
    expect(right).toMatch(/^HTTP\/1\.1 200 /);
    expect(bodyOf(right)).toEqual({owner: expect.stringMatching(/^token:/)});
    const wrong = await heard(await visit(get('/agent/whoami', 'wrong-wrong-wrong')));
    expect(wrong).toMatch(/^HTTP\/1\.1 401 /);
    expect(bodyOf(wrong)).toMatchObject({error: {code: 'TOKEN_WRONG'}});
    expect(bodyOf(await heard(await visit(get('/agent/whoami'))))).toMatchObject({
      error: {code: 'TOKEN_MISSING'},
    });
    expect(events.map(({type}) => type)).toContain('token-refused');
  });

  test('guesses are limited together with those of upgrades', async () => {
    await using scope = new Scope();
    const {visit} = await setUp(scope, {token: 'right-right-right'});
    let answer = '';
    for (let tries = 0; tries < 200 && !answer.startsWith('HTTP/1.1 429'); tries += 1)
      answer = await heard(await visit(get('/agent/whoami', `wrong-${tries}`)));
    expect(answer).toMatch(/^HTTP\/1\.1 429 /);
    expect(answer).toMatch(/\r\nRetry-After: \d+\r\n/);
    const guess = upgrade.replace('\r\n\r\n', '\r\nAuthorization: Bearer right-right-right\r\n\r\n');
    expect(await heard(await visit(guess))).toMatch(/^HTTP\/1\.1 429 /);
  });
});

test('agents of an owner that connect too often are told when to come again, and nothing is begun for them', async () => {
  await using scope = new Scope();
  const {visit, agents, pending} = await setUp(scope, {token: 'secret', tooOften: 4_200});
  const answer = await heard(await visit(bearer('secret')));
  expect(answer).toMatch(/^HTTP\/1\.1 429 [\s\S]*Retry-After: 5\r\n[\s\S]*"code":"RELAY_BUSY"/);
  expect(agents()).toBe(0);
  await until(() => pending.count === 0);
});

test.each([
  ['/', 'text/html', 'href="mailto:abuse@example.net">Report it</a>'],
  ['/.well-known/security.txt', 'text/plain', 'Contact: mailto:abuse@example.net\nExpires: 20'],
  ['/nothing', 'application/json', '"abuse":"mailto:abuse@example.net"'],
])('%s has the contact for reports of abuse, and nothing without one', async (path, type, text) => {
  await using scope = new Scope();
  const answerOf = async (abuseContact: string | undefined) => {
    const {visit} = await setUp(scope, abuseContact === undefined ? {} : {abuseContact});
    return await heard(await visit(`GET ${path} HTTP/1.1\r\nHost: r1.localhost\r\n\r\n`));
  };
  const answer = await answerOf('mailto:abuse@example.net');
  expect(answer).toContain(`Content-Type: ${type}`);
  expect(answer).toContain(text);
  expect(await answerOf(undefined)).not.toContain('buse@');
});
