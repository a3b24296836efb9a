// One connection of a sealed network: the address that is dialled is judged after each look-up.
import {connect, createServer, type Socket} from 'node:net';
import {duplexPair} from 'node:stream';
import {describe, expect} from 'vitest';
import {systemCode} from '../../../src/lib/core/errors.js';
import {Resolver} from '../../../src/lib/net/name-lookup.js';
import {Passage, type PassageOptions} from '../../../src/lib/seal/passage.js';
import {Policy} from '../../../src/lib/seal/policy.js';
import {parseEgress} from '../../../src/lib/seal/rules.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** Both ends of a connection: the program's, and the one that the seal accepts. */
async function pair(scope: Scope): Promise<{program: Socket; accepted: Socket}> {
  const server = createServer({allowHalfOpen: true, pauseOnConnect: true});
  const port = await scope.listen(server);
  const both = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const program = connect({port, host: '127.0.0.1', allowHalfOpen: true});
  program.on('error', () => {});
  return {program, accepted: await both};
}

interface Begun {
  passage: Passage;
  refused: string[];
  unreachable: string[];
  done: Promise<void>;
}

function begin(
  options: Pick<PassageOptions, 'socket' | 'target' | 'policy' | 'resolver'> & Partial<PassageOptions>,
): Begun {
  const refused: string[] = [];
  const unreachable: string[] = [];
  let passage: Passage | undefined;
  const done = new Promise<void>((resolve) => {
    passage = new Passage({
      onRefused: (host, port, why) => refused.push(`${host}:${port} ${why}`),
      onUnreachable: (host, port, error) => unreachable.push(`${host}:${port} ${systemCode(error)}`),
      onJoined: () => {},
      onDone: resolve,
      ...options,
    });
  });
  void passage?.run();
  return {passage: passage as Passage, refused, unreachable, done};
}

const ended = (socket: Socket) =>
  new Promise<string>((resolve) => {
    socket.resume();
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.once('end', () => resolve('end'));
  });

describe('a connection to a name', () => {
  test('is refused when all its addresses have become private since the look-up', async ({scope}) => {
    const {program, accepted} = await pair(scope);
    const policy = new Policy(parseEgress('a.example:80'));
    const resolver = new Resolver(async () => ['127.0.0.1', '10.0.0.1', '::ffff:169.254.169.254']);
    const target = {kind: 'name', name: 'a.example', port: 80} as const;
    const {refused, done} = begin({socket: accepted, target, policy: () => policy, resolver});
    expect(await ended(program)).toBe('ECONNRESET');
    await done;
    expect(refused).toEqual(['a.example:80 not-public']);
  });

  test('goes to a private address that the operator has named', async ({scope}) => {
    const port = await scope.listen(createServer({allowHalfOpen: true}, (socket) => socket.end('here')));
    const {program, accepted} = await pair(scope);
    const policy = new Policy(parseEgress(`a.example:${port},127.0.0.1:${port}`));
    const resolver = new Resolver(async () => ['127.0.0.1']);
    const target = {kind: 'name', name: 'a.example', port} as const;
    const {done} = begin({socket: accepted, target, policy: () => policy, resolver});
    const [piece] = await program.take(1).toArray();
    expect(String(piece)).toBe('here');
    await done;
  });

  test('is cut when the rules change while it is dialled', async ({scope}) => {
    const {program, accepted} = await pair(scope);
    let policy = new Policy(parseEgress('a.example:80'));
    let found = (_: readonly string[]) => {};
    const resolver = new Resolver(() => new Promise((resolve) => (found = resolve)));
    const target = {kind: 'name', name: 'a.example', port: 80} as const;
    const {passage, done} = begin({socket: accepted, target, policy: () => policy, resolver});
    policy = new Policy(parseEgress('b.example:80'));
    passage.review();
    expect(await ended(program)).toBe('ECONNRESET');
    await done;
    found(['192.0.2.1']);
  });

  test('that does not resolve is reset', async ({scope}) => {
    const {program, accepted} = await pair(scope);
    const policy = new Policy(parseEgress('a.example:80'));
    const resolver = new Resolver(async () => []);
    const target = {kind: 'name', name: 'a.example', port: 80} as const;
    const {unreachable, done} = begin({socket: accepted, target, policy: () => policy, resolver});
    expect(await ended(program)).toBe('ECONNRESET');
    await done;
    expect(unreachable).toEqual(['a.example:80 ENOTFOUND']);
  });

  test('is dialled by the hook with its name, and nothing is resolved here', async ({scope}) => {
    const port = await scope.listen(createServer({allowHalfOpen: true}, (socket) => socket.pipe(socket)));
    const {program, accepted} = await pair(scope);
    const policy = new Policy(parseEgress('a.example:5432'));
    const resolver = new Resolver(() => Promise.reject(new Error('resolved')));
    const target = {kind: 'name', name: 'a.example', port: 5432} as const;
    const asked: unknown[] = [];
    const {done} = begin({
      socket: accepted,
      target,
      policy: () => policy,
      resolver,
      dialOut: async (to) => {
        asked.push(to);
        return connect({port, host: '127.0.0.1', allowHalfOpen: true});
      },
    });
    program.end('echo');
    expect(Buffer.concat(await program.toArray()).toString()).toBe('echo');
    await done;
    expect(asked).toEqual([target]);
  });

  test('is reset when the connection of the hook has broken before it is joined', async ({scope}) => {
    const {program, accepted} = await pair(scope);
    const policy = new Policy(parseEgress('a.example:5432'));
    const {unreachable, done} = begin({
      socket: accepted,
      target: {kind: 'name', name: 'a.example', port: 5432},
      policy: () => policy,
      resolver: new Resolver(() => Promise.reject(new Error('resolved'))),
      dialOut: async () => {
        const [broken] = duplexPair();
        const closed = new Promise((resolve) => broken.once('close', resolve));
        broken.on('error', () => {}).destroy(Object.assign(new Error('broken'), {code: 'ECONNRESET'}));
        await closed;
        return broken;
      },
    });
    expect(await ended(program)).toBe('ECONNRESET');
    await done;
    expect(unreachable).toEqual(['a.example:5432 ECONNRESET']);
  });
});
