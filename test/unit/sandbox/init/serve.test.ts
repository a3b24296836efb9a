// The serving half with services of a test, as the owner of a sandbox uses it on the control socket.
import {once} from 'node:events';
import {Duplex, duplexPair, Readable, Writable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {describe, expect} from 'vitest';
import {StreamDuplex} from '../../../../src/lib/bytes/stream-duplex.js';
import {openLocalSession} from '../../../../src/lib/carrier/local-session.js';
import {TunlError} from '../../../../src/lib/core/errors.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import type {SandboxProcess} from '../../../../src/lib/sandbox/backend.js';
import {StreamsClient} from '../../../../src/lib/sandbox/init/client.js';
import {LineStream} from '../../../../src/lib/sandbox/init/line-stream.js';
import {Processes} from '../../../../src/lib/sandbox/init/processes.js';
import {type StreamServices, serveStreams} from '../../../../src/lib/sandbox/init/serve.js';
import {socketPair, textOf} from '../../../helpers/init.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const unused = () => Promise.reject(new Error('not asked for'));
const services: StreamServices = {
  exec: unused,
  dial: unused,
  files: {read: unused, write: unused, list: unused},
};

async function connected(scope: Scope, more: Partial<StreamServices>) {
  const [near, far] = await socketPair(scope);
  const served = serveStreams({socket: far, services: {...services, ...more}});
  const ended = Promise.withResolvers<TunlError | undefined>();
  const session = openLocalSession({
    socket: near,
    role: 'relay',
    sink: {
      onOpen: (stream) => stream.refuse('KIND_UNKNOWN'),
      onControl: () => {},
      onEnded: ended.resolve,
    },
  });
  scope.onEnd(() => {
    session.close();
    served.close();
  });
  return {client: new StreamsClient({session}), session, served, ended: ended.promise};
}

describe('a process', () => {
  /** Real processes, which several sessions share. */
  function shared() {
    const processes = new Processes({PATH: process.env.PATH});
    const known = new Map<string, SandboxProcess>();
    const services: Partial<StreamServices> = {
      exec: async (request) => {
        const started = await processes.start(request);
        known.set(started.id, started);
        return started;
      },
      find: (id) => known.get(id),
    };
    return {services, known};
  }

  async function say(to: SandboxProcess, text: string): Promise<string> {
    to.stdin.write(text);
    const [piece] = (await once(to.stdout, 'data')) as [Buffer];
    return piece.toString();
  }

  test('that is kept outlives its client, and another one joins it by its id', async ({scope}) => {
    const {services, known} = shared();
    const first = await connected(scope, services);
    const started = await first.client.exec({command: ['cat']}, {keep: true});
    expect(await say(started, 'one')).toBe('one');
    first.session.close();
    await expect(started.exit).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await first.served.ended;

    const second = await connected(scope, services);
    const joined = await second.client.attach(started.id);
    expect(await say(joined, 'two')).toBe('two');
    await expect(second.client.attach(started.id)).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
    joined.stdin.end('three');
    expect(await textOf(joined.stdout)).toBe('three');
    expect(await joined.exit).toEqual({code: 0});
    expect(await known.get(started.id)?.exit).toEqual({code: 0});
  });

  test('that is not kept ends with its client', async ({scope}) => {
    const {services, known} = shared();
    const {client, session} = await connected(scope, services);
    const {id} = await client.exec({command: ['cat']});
    session.close();
    expect(await known.get(id)?.exit).toEqual({signal: 'SIGKILL'});
  });

  test('that nobody knows cannot be joined', async ({scope}) => {
    const {client} = await connected(scope, shared().services);
    await expect(client.attach('ex_9')).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
  });

  test('with a request that is too long is refused here, and a wrong one there', async ({scope}) => {
    const {client, session} = await connected(scope, shared().services);
    await expect(client.exec({command: ['x'.repeat(300_000)]})).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(client.exec({command: []})).rejects.toMatchObject({code: 'OPTION_INVALID'});
    expect(session.ended).toBe(false);
  });
});

describe('a service', () => {
  test('that fails tells its error with the code of the system', async ({scope}) => {
    const cause = Object.assign(new Error('no'), {code: 'EACCES'});
    const error = new TunlError('SANDBOX_FILE', {reason: 'It is\nforbidden.', next: 'Ask.', cause});
    const {client} = await connected(scope, {files: {...services.files, list: () => Promise.reject(error)}});
    await expect(client.files.list('/x')).rejects.toMatchObject({
      code: 'SANDBOX_FILE',
      message: 'It is forbidden.',
      next: 'Ask.',
      cause: {code: 'EACCES'},
    });
    await expect(client.files.stat('/x')).rejects.toMatchObject({code: 'SANDBOX_FILE'});
  });

  test('whose content breaks off does not end as if it were whole', async ({scope}) => {
    const read = async () => {
      const content = new Readable({read: () => {}});
      content.push('half');
      setImmediate(() => content.destroy(new Error('disk')));
      return content;
    };
    const {client} = await connected(scope, {files: {...services.files, read}});
    await expect(textOf(await client.files.read('/x'))).rejects.toMatchObject({code: 'SANDBOX_FILE'});
  });

  test.for([
    ['waits', () => {}],
    [
      'goes on without end',
      (source: Readable) => {
        source.push(Buffer.alloc(65_536));
      },
    ],
  ] as const)('that fails within a transfer whose source %s tells why', async ([, more], {scope}) => {
    const full = Object.assign(new Error('no'), {code: 'ENOSPC'});
    const write = async (_path: string, content: Readable) => {
      const disk = new Writable({write: (_piece, _encoding, done) => done(full)});
      await pipeline(content, disk).catch((cause: unknown) => {
        throw new TunlError('SANDBOX_FILE', {reason: 'It is full.', cause});
      });
    };
    // As with the command line: its owner passes it on to the sandbox.
    const inside = await connected(scope, {files: {...services.files, write}});
    const {client} = await connected(scope, {files: inside.client.files});
    const source = new Readable({
      read() {
        more(this);
      },
    });
    source.push('begun');
    await expect(client.files.write('/x', source)).rejects.toMatchObject({
      code: 'SANDBOX_FILE',
      message: 'It is full.',
      cause: {code: 'ENOSPC'},
    });
    expect(source.destroyed).toBe(true);
  });

  test('dials connections that are no sockets', async ({scope}) => {
    const {client} = await connected(scope, {
      dial: async (port) => {
        if (port === 1) throw Object.assign(new Error('x'), {code: 'ENETUNREACH'});
        const [its, service] = duplexPair();
        service.on('data', (piece: Buffer) => service.write(piece.toString().toUpperCase()));
        service.on('end', () => service.end());
        return its;
      },
    });
    await expect(client.dial(1)).rejects.toMatchObject({code: 'ENETUNREACH'});
    const connection = await client.dial(2);
    connection.end('loud');
    expect(await textOf(connection)).toBe('LOUD');
  });

  test('a connection that breaks as soon as it is open is a failed dial', async ({scope}) => {
    const {client} = await connected(scope, {
      dial: async () =>
        new Duplex({
          read() {
            this.destroy(Object.assign(new Error('broken'), {code: 'ECONNRESET'}));
          },
        }),
    });
    await expect(client.dial(4)).rejects.toMatchObject({code: 'ECONNRESET'});
  });

  test('a dial that is given up is given up there, too', async ({scope}) => {
    const given = Promise.withResolvers<unknown>();
    const {client} = await connected(scope, {
      dial: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            given.resolve('given up');
            reject(signal.reason);
          });
        }),
    });
    const abort = new AbortController();
    const dialling = client.dial(3, abort.signal);
    abort.abort(new Error('changed my mind'));
    await expect(dialling).rejects.toThrow('changed my mind');
    expect(await given.promise).toBe('given up');
  });

  test('of another kind is added by its name', async ({scope}) => {
    const {client} = await connected(scope, {
      more: {
        greet: (stream) => {
          stream.accept();
          const lines: LineStream = new LineStream(stream, 100, {
            onLine: (line) => {
              lines.send({hello: JSON.parse(line.toString()).name});
              lines.end();
            },
            onMalformed: () => {},
            onOver: () => {},
          });
        },
      },
    });
    const greeting = new StreamDuplex(client.open({service: 'greet'}));
    greeting.end('{"name":"Ada"}\n');
    expect(await textOf(greeting)).toBe('{"hello":"Ada"}\n');
  });

  test.for([
    [KIND.service, {service: 'nothing'}, 'SERVICE_UNKNOWN'],
    [KIND.service, {service: 'toString'}, 'SERVICE_UNKNOWN'],
    [KIND.service, {service: 'dial'}, 'CANCELLED'],
    [KIND.service, {service: 'stdout', exec: 'ex_1'}, 'CANCELLED'],
    [KIND.service, {}, 'CANCELLED'],
    [KIND.visitor, {service: 'exec'}, 'KIND_UNKNOWN'],
  ] as const)('kind %i %j is refused with %s', async ([kind, about, code], {scope}) => {
    const {session} = await connected(scope, {});
    const stream = session.open(kind, about);
    const refused = new Promise((onReset) => {
      if (stream !== undefined)
        stream.sink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset};
    });
    expect(await refused).toBe(code);
    expect(session.ended).toBe(false);
  });

  test('waits for a client that is stopped', async ({scope}) => {
    const [near, far] = await socketPair(scope);
    near.resume();
    const clock = new ManualClock();
    const {session, close} = serveStreams({socket: far, services, clock});
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(60 * 60_000);
    for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(session.ended).toBe(false);
    close();
  });

  test('a control message ends the session', async ({scope}) => {
    const {session, ended} = await connected(scope, {});
    session.sendControl({type: 'ready'});
    expect(await ended).toMatchObject({code: 'PROTOCOL'});
  });
});
