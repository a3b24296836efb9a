// An init that is an attacker: every message comes from a program that the sandbox's own programs have taken over.
import {once} from 'node:events';
import type {Socket} from 'node:net';
import {describe, expect} from 'vitest';
import {openLocalSession} from '../../../../src/lib/carrier/local-session.js';
import type {Session} from '../../../../src/lib/mux/session.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {encodeLine} from '../../../../src/lib/protocol/lines.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import type {SandboxProcess} from '../../../../src/lib/sandbox/backend.js';
import {type ConnectInitOptions, connectInit} from '../../../../src/lib/sandbox/init/init-client.js';
import {MiB} from '../../../helpers/bytes.js';
import {socketPair, textOf} from '../../../helpers/init.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

type OnOpen = (stream: Stream, about: {service: string; exec?: string}) => void;

/** An init that does what `onOpen` does with each stream. */
async function hostile(scope: Scope, onOpen: OnOpen = () => {}, options: ConnectInitOptions = {}) {
  const [near, far] = await socketPair(scope);
  const session = openLocalSession({
    socket: far,
    role: 'agent',
    sink: {
      onOpen: (stream, about) => onOpen(stream, JSON.parse(about.toString())),
      onControl: () => {},
      onEnded: () => {},
    },
  });
  const init = connectInit(near, options);
  scope.onEnd(() => {
    init.close();
    session.close();
  });
  session.sendControl({type: 'ready'});
  await init.ready;
  return {init, session};
}

/** Answers an exec with these lines, and takes its other streams. */
function answering(...lines: readonly object[]): OnOpen {
  return (stream, {service}) => {
    stream.accept();
    if (service === 'exec') for (const line of lines) stream.write(encodeLine(line));
  };
}

/** Resolves when the session of the host has ended for a reason that matches. */
async function expectLost(lost: Promise<string>, reason: RegExp): Promise<void> {
  expect(await lost).toMatch(reason);
}

describe('an exec', () => {
  const run = {command: ['true']};

  test.for([
    ['a line without end', [{started: 'ex_1', more: 'x'.repeat(64 * 1024)}], /more than 16384 bytes/],
    ['two starts', [{started: 'ex_1'}, {started: 'ex_2'}], /started twice/],
    ['an end without a start', [{exit: {code: 0}}], /not started/],
    ['two ends', [{started: 'ex_1'}, {exit: {code: 0}}, {exit: {code: 0}}], /after the last one/],
    ['an impossible code', [{started: 'ex_1'}, {exit: {code: 1e9}}], /whole number/],
    ['an impossible id', [{started: '../x'}], /not an id/],
    [
      'an error after the end',
      [{started: 'ex_1'}, {exit: {code: 0}}, {error: {code: 'X', message: ''}}],
      /last one/,
    ],
    ['nonsense', [{hello: 'world'}], /exit is not an object/],
  ] satisfies [string, object[], RegExp][])(
    'with %s ends the session',
    async ([, lines, reason], {scope}) => {
      const {init} = await hostile(scope, answering(...lines));
      const started = init.exec(run);
      started.then((process) => process.exit).catch(() => {});
      await expectLost(init.lost, reason);
      await expect(started.then((process) => process.exit)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    },
  );

  test('with the id of another one that runs ends the session', async ({scope}) => {
    const {init} = await hostile(scope, answering({started: 'ex_1'}));
    await init.exec(run);
    await expect(init.exec(run)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await expectLost(init.lost, /started twice/);
  });

  test('without an answer fails in time', async ({scope}) => {
    const clock = new ManualClock();
    const asked = Promise.withResolvers<void>();
    const {init} = await hostile(scope, () => asked.resolve(), {clock, silenceMs: 10 * 60_000});
    const started = init.exec(run);
    started.catch(() => {});
    await asked.promise;
    clock.advance(60_000);
    await expect(started).rejects.toMatchObject({code: 'SANDBOX_SILENT'});
  });

  test('whose output never ends has an end nevertheless', async ({scope}) => {
    const clock = new ManualClock();
    const {init} = await hostile(
      scope,
      (stream, {service}) => {
        stream.accept();
        if (service === 'exec') {
          stream.write(encodeLine({started: 'ex_1'}));
          stream.write(encodeLine({exit: {code: 0}}));
        } else if (service === 'stdout') stream.write(Buffer.from('some'));
      },
      {clock, silenceMs: 60 * 60_000},
    );
    const process = await init.exec(run);
    const output = textOf(process.stdout);
    output.catch(() => {});
    await once(process.stdout, 'data');
    // The first look finds the bytes that came after the exit.
    clock.advance(2_000);
    clock.advance(2_000);
    expect(await process.exit).toEqual({code: 0});
    await expect(output).rejects.toMatchObject({code: 'ECONNRESET'});
  });

  test('that outlives its own time is over for its caller', async ({scope}) => {
    const clock = new ManualClock();
    const {init} = await hostile(scope, answering({started: 'ex_1'}), {clock, silenceMs: 60 * 60_000});
    const process = await init.exec({...run, timeoutMs: 1_000});
    clock.advance(11_000);
    expect(await process.exit).toEqual({signal: 'SIGKILL', timedOut: true});
  });

  test('whose output comes without end costs a window while nobody reads', async ({scope}) => {
    let sent = 0;
    const full = Promise.withResolvers<void>();
    const {init} = await hostile(scope, (stream, {service}) => {
      stream.accept();
      if (service === 'exec') stream.write(encodeLine({started: 'ex_1'}));
      if (service !== 'stdout') return;
      const piece = Buffer.alloc(64 * 1024);
      const pump = () => {
        while (stream.write(piece)) sent += piece.length;
        full.resolve();
      };
      stream.sink = {onData: () => {}, onEnd: () => {}, onReset: () => {}, onWritable: pump};
      pump();
    });
    const process: SandboxProcess = await init.exec(run);
    await full.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(process.stdout.readableLength).toBeLessThanOrEqual(256 * 1024);
    expect(sent).toBeLessThan(2 * MiB);
  });

  test('whose input stream talks back costs a window', async ({scope}) => {
    const stdin = Promise.withResolvers<Stream>();
    const {init} = await hostile(scope, (stream, {service}) => {
      stream.accept();
      if (service === 'exec') stream.write(encodeLine({started: 'ex_1'}));
      if (service === 'stdin') stdin.resolve(stream);
    });
    const process = await init.exec(run);
    const stream = await stdin.promise;
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    while (stream.write(piece)) sent += piece.length;
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent).toBeLessThan(2 * MiB);
    expect(init).toBeDefined();
    process.stdin.destroy();
  });

  test('that finds no room for its streams fails, and the session goes on', async ({scope}) => {
    const {init} = await hostile(scope, (stream, {service}) => {
      if (service === 'exec') answering({started: 'ex_1'})(stream, {service});
    });
    // Dials without an answer use up the streams, until only that of the exec itself finds room.
    const dials = Array.from({length: 4_095}, () => init.dial(1));
    for (const dial of dials) dial.catch(() => {});
    await expect(init.exec(run)).rejects.toMatchObject({code: 'SANDBOX_SILENT'});
    init.close();
    await expect(dials[0]).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
  });

  test('that breaks off without a word ends the session', async ({scope}) => {
    const {init} = await hostile(scope, (stream) => {
      stream.accept();
      stream.end();
    });
    const started = init.exec(run);
    started.catch(() => {});
    await expectLost(init.lost, /the process has not ended/);
  });

  test('that is refused tells why in one line', async ({scope}) => {
    const {init} = await hostile(scope, (stream) => stream.refuse('CANCELLED', 'no\n\x1b[2J'));
    await expect(init.exec(run)).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
  });
});

describe('files', () => {
  const answer = (...pieces: (object | Buffer)[]): OnOpen => {
    return (stream) => {
      stream.accept();
      for (const piece of pieces) stream.write(Buffer.isBuffer(piece) ? piece : encodeLine(piece));
      stream.end();
    };
  };

  test.for([
    ['no JSON', [Buffer.from('what\n')], /file:/],
    ['a long first line', [Buffer.alloc(20_000, 97)], /more than 16384/],
    ['an entry that is none', [{ok: {}}, {name: 'x'}], /kind is none of/],
    ['half an entry', [{ok: {}}, Buffer.from('{"name"')], /within a line/],
  ] satisfies [string, (object | Buffer)[], RegExp][])(
    'a list of %s ends the session',
    async ([, pieces, reason], {scope}) => {
      const {init} = await hostile(scope, answer(...pieces));
      await expect(init.files.list('/')).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
      await expectLost(init.lost, reason);
    },
  );

  test('a list without end is an error', async ({scope}) => {
    const entry = encodeLine({name: 'x', kind: 'file', bytes: 0, mode: 0, modifiedAt: 0});
    const many = Buffer.concat(Array.from({length: 500}, () => entry));
    const {init} = await hostile(scope, (stream) => {
      stream.accept();
      const pump = () => {
        while (stream.write(many));
      };
      stream.sink = {onData: () => {}, onEnd: () => {}, onReset: () => {}, onWritable: pump};
      stream.write(encodeLine({ok: {}}));
      pump();
    });
    await expect(init.files.list('/')).rejects.toMatchObject({code: 'SANDBOX_FILE'});
  });

  test('no answer is an error in time', async ({scope}) => {
    const clock = new ManualClock();
    const asked = Promise.withResolvers<void>();
    const {init} = await hostile(scope, () => asked.resolve(), {clock, silenceMs: 60 * 60_000});
    const reading = init.files.read('/x');
    reading.catch(() => {});
    await asked.promise;
    clock.advance(60_000);
    await expect(reading).rejects.toMatchObject({code: 'SANDBOX_SILENT'});
  });
});

describe('the session', () => {
  const attacks: readonly [string, (session: Session) => void, RegExp][] = [
    [
      'a stream of its own',
      (session) => void session.open(KIND.service, {service: 'exec'}),
      /opens a stream/,
    ],
    ['a second greeting', (session) => session.sendControl({type: 'ready'}), /second control/],
  ];

  test.for(attacks)('ends with %s', async ([, attack, reason], {scope}) => {
    const {init, session} = await hostile(scope);
    attack(session);
    await expectLost(init.lost, reason);
  });

  test.for([
    ['nothing but noise', (socket: Socket) => void socket.write(Buffer.alloc(1024, 0xff))],
    [
      'a record that lies about its length',
      (socket: Socket) => void socket.write(Buffer.from([1, 0xff, 0xff, 0xff])),
    ],
    ['an end', (socket: Socket) => void socket.end()],
    ['a break', (socket: Socket) => void socket.destroy()],
  ] satisfies [string, (socket: Socket) => void][])(
    'ends with %s before the greeting',
    async ([, attack], {scope}) => {
      const [near, far] = await socketPair(scope);
      far.on('error', () => {});
      far.resume();
      const init = connectInit(near);
      attack(far);
      await expect(init.ready).rejects.toMatchObject({code: 'SANDBOX_FAILED'});
      await expectLost(init.lost, /./);
      await expect(init.exec({command: ['true']})).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    },
  );

  test('ends with an init that is silent for too long', async ({scope}) => {
    const [near, far] = await socketPair(scope);
    far.resume();
    const clock = new ManualClock();
    const init = connectInit(near, {clock, silenceMs: 9_000});
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(9_000);
    await expectLost(init.lost, /no sign of the peer/);
  });

  test('that has ended leaves no timer behind', async ({scope}) => {
    const clock = new ManualClock();
    const {init} = await hostile(scope, () => {}, {clock});
    init.close();
    await init.lost;
    for (const call of [init.dial(80), init.exec({command: ['true']}), init.files.list('/')])
      await expect(call).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    expect(() => clock.advance(10 * 60_000)).not.toThrow();
  });

  test('does not read, and dials and execs settle when it ends', async ({scope}) => {
    const {init, session} = await hostile(scope);
    const pending = [init.dial(80), init.exec({command: ['true']}), init.files.list('/')];
    for (const each of pending) each.catch(() => {});
    session.destroy(new Error('gone') as never);
    for (const each of pending) await expect(each).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
  });
});
