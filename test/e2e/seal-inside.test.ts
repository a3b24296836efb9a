// Connections that begin outside of a sealed network and end at a program inside.
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {addHost, type Host} from '../helpers/net-ns.js';
import {Scope} from '../helpers/scope.js';
import {SealHost, type User} from '../helpers/seal.js';
import {test} from '../helpers/test.js';

const all = new Scope();
let machine: Host;

beforeAll(async () => {
  machine = await addHost(all, {namespace: `tunl-inside-${process.pid}`, address: '127.0.0.1'});
});

afterAll(() => all[Symbol.asyncDispose]());

const INTERNET = {kind: 'internet'} as const;

/** A program inside that says `up`, and answers each connection with all that it has got. */
async function startEcho(host: SealHost, {listen = '127.0.0.1', greeting = ''} = {}): Promise<void> {
  const script = `require('node:net').createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {});
    if ('${greeting}') socket.write('${greeting} ');
    socket.pipe(socket);
  }).listen({port: 8000, host: '${listen}', backlog: 1024}, () => console.log('up'))`;
  await host.start('echo', [process.execPath, '-e', script]);
  await host.message((each) => each.id === 'echo' && each.line === 'up');
}

/** Processes of Node that run the dialling program in this namespace. */
function dialler(netns: string): number | undefined {
  for (const name of readdirSync('/proc')) {
    try {
      if (readlinkSync(`/proc/${name}/ns/net`) !== netns) continue;
      const [, script = ''] = readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0');
      if (script.endsWith('seal/dialler.js')) return Number(name);
    } catch {
      // It is no process, or has ended.
    }
  }
  return undefined;
}

async function netnsInside(host: SealHost): Promise<string> {
  return (await host.run('netns', ['readlink', '/proc/self/ns/net'])).lines[0] ?? '';
}

describe.each<User>(['root', 'user'])('for %s', (user) => {
  test('bytes and half-closes pass, on either loopback address, and a closed port is refused', async ({
    scope,
  }) => {
    const host = new SealHost(scope, machine, user);
    await host.open(INTERNET);
    await startEcho(host, {listen: '::1', greeting: 'welcome'});
    expect(await host.ask('dialInside', {port: 8000, text: 'hello'})).toBe('welcome hello');
    await expect(host.ask('dialInside', {port: 8001})).rejects.toMatchObject({code: 'ECONNREFUSED'});
    await expect(host.ask('dialInside', {port: 8000, address: '127.0.0.1'})).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    // A listener of the seal is no program inside.
    await expect(host.ask('dialInside', {port: 914})).rejects.toMatchObject({code: 'ECONNREFUSED'});
  });

  test('two thousand connections arrive whole', async ({scope}) => {
    const host = new SealHost(scope, machine, user);
    await host.open(INTERNET);
    await startEcho(host);
    expect(await host.ask('dialMany', {count: 2_000, port: 8000})).toMatchObject({whole: 2_000});
    const {descriptors} = await host.ask<{descriptors: number}>('state');
    expect(descriptors).toBeLessThan(200);
  });

  test('the end of the dialling program is the end of the seal', async ({scope}) => {
    const host = new SealHost(scope, machine, user);
    await host.open(INTERNET);
    await startEcho(host);
    const netns = await netnsInside(host);
    expect(dialler(netns)).toBeUndefined();
    await host.ask('dialInside', {port: 8000, text: 'hello'});
    const pid = dialler(netns);
    expect(pid).toBeDefined();
    process.kill(pid ?? 0, 'SIGKILL');
    await host.message((each) => each.event === 'lost');
    expect(await host.message((each) => each.event === 'end' && each.id === 'echo')).toMatchObject({
      signal: 'SIGKILL',
    });
    await expect(host.ask('dialInside', {port: 8000})).rejects.toMatchObject({code: 'ECONNABORTED'});
  });
});

test('the dialling program ends with the process that holds the seal', async ({scope}) => {
  const host = new SealHost(scope, machine, 'user');
  await host.open(INTERNET);
  await startEcho(host);
  const netns = await netnsInside(host);
  await host.ask('dialInside', {port: 8000, text: 'hello'});
  expect(dialler(netns)).toBeDefined();
  host.child.signal('SIGKILL');
  while (dialler(netns) !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
});
