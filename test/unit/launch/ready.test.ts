// Checks of a program, with real listeners: ports, readiness, and the choice of the port.
import {readFileSync} from 'node:fs';
import {createServer as createHttpServer} from 'node:http';
import {createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {choosePort, discoverPlaces} from '../../../src/lib/launch/discover.js';
import {freePort, isTaken, portsInLsof, portsOf} from '../../../src/lib/launch/ports.js';
import type {Program, Readiness, Site} from '../../../src/lib/launch/program.js';
import {codeServer} from '../../../src/lib/launch/programs/code-server.js';
import {jupyter} from '../../../src/lib/launch/programs/jupyter.js';
import {ask, untilReady} from '../../../src/lib/launch/ready.js';
import {Child, run} from '../../helpers/child.js';
import {root} from '../../helpers/launching.js';
import {test} from '../../helpers/test.js';

const BANNER: Readiness = {kind: 'banner', start: 'SSH-'};
const http = (status: number): Readiness => ({kind: 'http', path: '/up', accept: (got) => got === status});

describe('one check', () => {
  test('HTTP: the status decides', async ({scope}) => {
    const port = await scope.listen(
      createHttpServer((q, r) => r.writeHead(q.url === '/up' ? 401 : 500).end()),
    );
    const place = {host: '127.0.0.1', port};
    expect(await ask(http(401), place)).toEqual({kind: 'ready'});
    expect(await ask(http(200), place)).toEqual({kind: 'wrong', what: 'status 401 to GET /up'});
  });

  test('HTTP to a server that does not speak it, or sends nothing', async ({scope}) => {
    const rude = await scope.listen(createServer((socket) => socket.end('SSH-2.0-x\r\n')));
    expect((await ask(http(200), {host: '127.0.0.1', port: rude})).kind).toBe('silent');
    const mute = await scope.listen(createServer());
    const abort = new AbortController();
    const question = ask(http(200), {host: '127.0.0.1', port: mute}, {signal: abort.signal});
    setTimeout(() => abort.abort(), 50);
    expect(await question).toEqual({kind: 'silent'});
  });

  test('a banner, in pieces, and another one', async ({scope}) => {
    const pieces = (socket: Socket) => {
      socket.on('error', () => {});
      socket.write('SS');
      setTimeout(() => socket.write('H-2.0-OpenSSH\r\n'), 20);
    };
    const ssh = await scope.listen(createServer(pieces));
    expect(await ask(BANNER, {host: '127.0.0.1', port: ssh})).toEqual({kind: 'ready'});
    const smtp = await scope.listen(createServer((socket) => socket.end('220 mail\r\n')));
    expect((await ask(BANNER, {host: '127.0.0.1', port: smtp})).kind).toBe('wrong');
    const closes = await scope.listen(createServer((socket) => socket.end()));
    expect((await ask(BANNER, {host: '127.0.0.1', port: closes})).kind).toBe('silent');
  });

  test('nothing listens', async () => {
    const place = {host: '127.0.0.1', port: await freePort()};
    for (const readiness of [BANNER, http(200), {kind: 'tcp'} as const]) {
      expect(await ask(readiness, place)).toEqual({kind: 'refused'});
    }
  });
});

test('of several addresses, one that hangs does not delay one that answers', async ({scope}) => {
  const mute = await scope.listen(createServer());
  const good = await scope.listen(createHttpServer((_, r) => r.end()));
  const places = [mute, good].map((port) => ({host: '127.0.0.1', port}));
  const abort = new AbortController();
  scope.onEnd(() => abort.abort());
  const confirms = () => true;
  const ready = await untilReady({
    readiness: http(200),
    places: () => places,
    confirms,
    signal: abort.signal,
  });
  expect(ready?.port).toBe(good);
});

test('an answer counts when it is confirmed; until then the check repeats', async ({scope}) => {
  const port = await scope.listen(createServer((socket) => void socket.destroy()));
  const asked: number[] = [];
  const ready = await untilReady({
    readiness: {kind: 'tcp'},
    places: () => [{host: '127.0.0.1', port}],
    confirms: (place) => asked.push(place.port) === 3,
    signal: scope.signal,
  });
  expect(ready?.port).toBe(port);
  expect(asked).toEqual([port, port, port]);
});

test('a program that sees the probes gets few of them; one that does not listen yet is probed often', async ({
  scope,
}) => {
  let seen = 0;
  const server = createHttpServer((_request, response) => {
    seen += 1;
    response.writeHead(500).end();
  });
  const answering = await scope.listen(server);
  const probesIn = async (port: number, withinMs: number) => {
    const enough = new AbortController();
    let probes = 0;
    let waitedMs = 0;
    await untilReady({
      readiness: http(200),
      places: () => {
        probes += 1;
        return [{host: '127.0.0.1', port}];
      },
      confirms: () => true,
      signal: enough.signal,
      pause: async (ms) => {
        waitedMs += ms;
        if (waitedMs > withinMs) enough.abort();
      },
    });
    return probes;
  };
  expect(await probesIn(await freePort(), 6_000)).toBeGreaterThan(60);
  expect(await probesIn(answering, 6_000)).toBeLessThan(20);
  expect(seen).toBeLessThan(20);
});

describe('the choice of the port', () => {
  test('the port that the program names, otherwise the lowest', () => {
    expect(choosePort([], [])).toBeUndefined();
    expect(choosePort([4000, 5173], [])).toEqual({port: 4000, sure: false});
    expect(choosePort([4000, 5173], ['  Local: http://localhost:5173/'])).toEqual({port: 5173, sure: true});
    expect(choosePort([3000], ['listening on port 3000'])).toEqual({port: 3000, sure: true});
    expect(choosePort([4000], ['compiled 4000 modules'])).toEqual({port: 4000, sure: true});
  });

  test('the debugger’s only when there is no other', () => {
    expect(choosePort([3000, 9229], ['Debugger listening on ws://127.0.0.1:9229/x'])?.port).toBe(3000);
    expect(choosePort([9229], [])?.port).toBe(9229);
  });

  test('an unnamed port counts when nothing has changed for a while', async () => {
    let now = 0;
    let ports = [3000];
    const places = discoverPlaces({ports: async () => ports, lines: () => [], now: () => now});
    expect(await places()).toEqual([]);
    now = 300;
    ports = [2999, 3000];
    expect(await places()).toEqual([]);
    now = 600;
    expect(await places()).toEqual([]);
    now = 700;
    expect((await places()).map((place) => place.port)).toEqual([2999, 2999]);
  });
});

describe('ports of this machine', () => {
  test('taken: on either loopback address, or on all', async ({scope}) => {
    for (const host of ['127.0.0.1', '::1', '0.0.0.0', '::']) {
      expect(await isTaken(await scope.listen(createServer(), host)), host).toBe(true);
    }
    expect(await isTaken(await freePort())).toBe(false);
  });

  test('of a process: the same by /proc and by lsof', async ({scope}) => {
    const source = `const net = require('node:net');
const open = (host) => new Promise((r) => { const s = net.createServer().listen(0, host, () => r(s.address().port)); });
Promise.all(['127.0.0.1', '::1', '0.0.0.0'].map(open)).then((ports) => console.log(ports.join()));`;
    const child = Child.start(scope, process.execPath, ['-e', source]);
    const ports = (await child.line())
      .split(',')
      .map(Number)
      .sort((a, b) => a - b);
    expect(await portsOf({group: child.pid, mark: 'none'})).toEqual(ports);
    const args = ['-nP', '-a', '-g', String(child.pid), '-iTCP', '-sTCP:LISTEN', '-F', 'n'];
    const {stdout} = await run(scope, 'lsof', args);
    expect(portsInLsof(stdout).sort((a, b) => a - b)).toEqual(ports);
  });
});

test('docs/programs.md has the checks of the programs', () => {
  const docs = readFileSync(join(root, 'docs/programs.md'), 'utf8');
  const rowOf = (heading: string) =>
    /^\| ready \| (.*) \|$/m.exec(docs.slice(docs.indexOf(`\n## ${heading}\n`)))?.[1];
  const check = (program: Program, kind: string) => {
    const ready = program.ready({found: {bin: '', kind}} as Site);
    if (ready.kind !== 'http') throw new Error('no path is asked');
    return {path: ready.path, answers: [200, 302].filter((status) => ready.accept(status))};
  };
  expect(check(jupyter({token: false}), 'lab')).toEqual({path: '/api', answers: [200]});
  expect(rowOf('JupyterLab')).toBe('when `GET /api` answers 200');
  const codes = codeServer({password: 'x'});
  expect(check(codes, 'code-server')).toEqual({path: '/', answers: [200, 302]});
  expect(check(codes, 'openvscode-server')).toEqual({path: '/version', answers: [200, 302]});
  expect(rowOf('code-server')).toBe('when `GET /` (`/version`) answers with 2xx or 3xx');
});
