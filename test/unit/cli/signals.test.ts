import {EventEmitter} from 'node:events';
import {describe, expect, test, vi} from 'vitest';
import {hold} from '../../../src/lib/cli/hold.js';
import {listenForSignals} from '../../../src/lib/cli/signals.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {eventually} from '../../helpers/eventually.js';

function signals() {
  let now = 0;
  return {
    source: new EventEmitter(),
    now: () => now,
    leave: vi.fn(),
    pass(ms: number) {
      now += ms;
    },
  };
}

describe('listenForSignals', () => {
  test.each(['SIGINT', 'SIGTERM'])(
    'the first %s requests an end, a second signal ends at once with 130',
    (signal) => {
      const s = signals();
      const [onStop, onLeave] = [vi.fn(), vi.fn<() => undefined>()];
      using _listening = listenForSignals({onStop, onLeave, ...s});
      s.source.emit(signal);
      expect(onStop).toHaveBeenCalledOnce();
      expect(s.leave).not.toHaveBeenCalled();
      s.pass(1000);
      s.source.emit('SIGINT');
      expect(onStop).toHaveBeenCalledOnce();
      expect(onLeave).toHaveBeenCalledOnce();
      expect(s.leave).toHaveBeenCalledWith(130);
    },
  );

  test('last output gets a short time, and a third signal ends that time', async () => {
    const s = signals();
    const told = Promise.withResolvers<void>();
    using _listening = listenForSignals({onStop: () => {}, onLeave: () => told.promise, ...s});
    for (let i = 0; i < 2; i += 1) {
      s.source.emit('SIGINT');
      s.pass(1000);
    }
    expect(s.leave).not.toHaveBeenCalled();
    s.source.emit('SIGINT');
    expect(s.leave).toHaveBeenCalledExactlyOnceWith(130);
    told.resolve();
    await told.promise;
    expect(s.leave).toHaveBeenCalledOnce();
  });

  test('that time ends when everything is written, and soon in any case', async () => {
    for (const told of [Promise.resolve(), new Promise<void>(() => {})]) {
      const s = signals();
      const left = Promise.withResolvers<number>();
      using _listening = listenForSignals({onStop: () => {}, onLeave: () => told, ...s, leave: left.resolve});
      s.source.emit('SIGINT');
      s.pass(1000);
      s.source.emit('SIGINT');
      expect(await left.promise).toBe(130);
    }
  });

  test('a second copy of one key press, which npx sends, does not count', () => {
    const s = signals();
    const onStop = vi.fn();
    using _listening = listenForSignals({onStop, onLeave: () => undefined, ...s});
    s.source.emit('SIGINT');
    s.pass(20);
    s.source.emit('SIGINT');
    expect(onStop).toHaveBeenCalledOnce();
    expect(s.leave).not.toHaveBeenCalled();
  });

  test.each([
    {usesTerminal: true, after: 'ends', reloads: 1, stops: 1},
    {usesTerminal: false, after: 'still reloads', reloads: 2, stops: 0},
  ])('SIGHUP reloads; when the terminal is gone, a process that uses it ($usesTerminal) $after', (about) => {
    const s = signals();
    const [onStop, onReload] = [vi.fn(), vi.fn()];
    let there = true;
    using _listening = listenForSignals({
      onStop,
      onReload,
      onLeave: () => undefined,
      hasTerminal: () => there,
      usesTerminal: () => about.usesTerminal,
      ...s,
    });
    s.source.emit('SIGHUP');
    expect([onReload.mock.calls.length, onStop.mock.calls.length]).toEqual([1, 0]);
    there = false;
    s.source.emit('SIGHUP');
    expect([onReload.mock.calls.length, onStop.mock.calls.length]).toEqual([about.reloads, about.stops]);
  });

  test('the end of a terminal that the process does not use is ignored', () => {
    for (const onReload of [undefined, vi.fn()]) {
      const s = signals();
      const onStop = vi.fn();
      let there = true;
      using _listening = listenForSignals({
        onStop,
        ...(onReload && {onReload}),
        onLeave: () => undefined,
        hasTerminal: () => there,
        usesTerminal: () => false,
        ...s,
      });
      there = false;
      s.source.emit('SIGHUP');
      expect(onStop).not.toHaveBeenCalled();
      there = true;
      s.source.emit('SIGTERM');
      expect(onStop).toHaveBeenCalledOnce();
    }
  });

  test('SIGHUP of a process that never had a terminal reloads', () => {
    const s = signals();
    const [onStop, onReload] = [vi.fn(), vi.fn()];
    using _listening = listenForSignals({
      onStop,
      onReload,
      onLeave: () => undefined,
      hasTerminal: () => false,
      ...s,
    });
    s.source.emit('SIGHUP');
    expect([onReload.mock.calls.length, onStop.mock.calls.length]).toEqual([1, 0]);
  });

  test('SIGHUP of a command that has nothing to reload requests an end', () => {
    const s = signals();
    const onStop = vi.fn();
    using _listening = listenForSignals({onStop, onLeave: () => undefined, ...s});
    s.source.emit('SIGHUP');
    expect(onStop).toHaveBeenCalledOnce();
  });

  test('leaves no listener behind', () => {
    const s = signals();
    listenForSignals({onStop: () => {}, onLeave: () => undefined, onReload: () => {}, ...s})[
      Symbol.dispose
    ]();
    expect(s.source.eventNames()).toEqual([]);
  });
});

/** The part of a tunnel that `hold` needs; the test ends it. */
function fakeTunnel() {
  const {promise: closed, resolve, reject} = Promise.withResolvers<void>();
  return {
    closed,
    end: resolve,
    fail: reject,
    close: vi.fn(async (_options: {drainTimeoutMs: number}) => resolve()),
  };
}

describe('hold', () => {
  test('a signal drains with the timeout and resolves', async () => {
    const s = signals();
    const tunnel = fakeTunnel();
    const onStop = vi.fn();
    const held = hold({
      open: async () => tunnel,
      onStop,
      onLeave: () => undefined,
      drainTimeoutMs: 5000,
      signals: s,
    });
    await eventually(() => expect(s.source.listenerCount('SIGINT')).toBe(1));
    await Promise.resolve();
    s.source.emit('SIGTERM');
    await held;
    expect(onStop).toHaveBeenCalledWith(tunnel);
    expect(tunnel.close).toHaveBeenCalledWith({drainTimeoutMs: 5000});
    expect(s.source.eventNames()).toEqual([]);
  });

  test('waits until the drain is over', async () => {
    const s = signals();
    const drained = Promise.withResolvers<void>();
    const ended = vi.fn();
    const held = hold({
      open: async () => ({close: () => drained.promise}),
      onLeave: () => undefined,
      drainTimeoutMs: 5000,
      signals: s,
    }).then(ended);
    await Promise.resolve();
    s.source.emit('SIGINT');
    await new Promise(setImmediate);
    expect(ended).not.toHaveBeenCalled();
    drained.resolve();
    await held;
  });

  test('the second signal ends it at once, and the process when that was reported', async () => {
    const s = signals();
    const left = Promise.withResolvers<number>();
    const tunnel = {...fakeTunnel(), close: () => new Promise<void>(() => {})};
    const destroy = vi.fn(() => tunnel.end());
    const ended = vi.fn();
    void hold({
      open: async () => ({...tunnel, destroy}),
      onLeave: () => {},
      drainTimeoutMs: 5000,
      signals: {...s, leave: left.resolve},
    }).then(ended, ended);
    await Promise.resolve();
    s.source.emit('SIGINT');
    s.pass(1000);
    s.source.emit('SIGINT');
    expect(destroy).toHaveBeenCalledOnce();
    expect(await left.promise).toBe(130);
    expect(ended).not.toHaveBeenCalled();
  });

  test('a tunnel that fails rejects with its reason', async () => {
    const s = signals();
    const tunnel = fakeTunnel();
    const held = hold({open: async () => tunnel, onLeave: () => undefined, drainTimeoutMs: 0, signals: s});
    tunnel.fail(new TunlError('TAKEN_OVER'));
    await expect(held).rejects.toMatchObject({code: 'TAKEN_OVER'});
    expect(s.source.eventNames()).toEqual([]);
  });

  test('a signal during the start aborts it', async () => {
    const s = signals();
    const held = hold({
      open: (signal) =>
        new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => reject(new TunlError('ABORTED')));
        }),
      onLeave: () => undefined,
      drainTimeoutMs: 0,
      signals: s,
    });
    s.source.emit('SIGINT');
    await expect(held).rejects.toMatchObject({code: 'ABORTED'});
  });
});

test('a tunnel that starts although its end was requested is drained, not cut', async () => {
  const s = signals();
  const tunnel = fakeTunnel();
  const up = Promise.withResolvers<typeof tunnel>();
  const held = hold({open: () => up.promise, onLeave: () => undefined, drainTimeoutMs: 5000, signals: s});
  s.source.emit('SIGINT');
  up.resolve(tunnel);
  await held;
  expect(tunnel.close).toHaveBeenCalledWith({drainTimeoutMs: 5000});
});

test('a second signal while such a tunnel drains ends the process, with its own code', async () => {
  const s = signals();
  const left = Promise.withResolvers<number>();
  const tunnel = fakeTunnel();
  const closing = {...tunnel, close: () => tunnel.closed, destroy: () => tunnel.end()};
  const up = Promise.withResolvers<typeof closing>();
  const ended = vi.fn();
  const options = {onLeave: () => undefined, drainTimeoutMs: 5000, signals: {...s, leave: left.resolve}};
  void hold({open: () => up.promise, ...options}).then(ended, ended);
  s.source.emit('SIGINT');
  up.resolve(closing);
  await new Promise(setImmediate);
  s.pass(1000);
  s.source.emit('SIGINT');
  expect(await left.promise).toBe(130);
  await new Promise(setImmediate);
  expect(ended).not.toHaveBeenCalled();
});
