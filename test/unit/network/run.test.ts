// A command in a private network: what its signal ends, and in which order.

import {beforeEach, expect, test, vi} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import type {JoinOptions} from '../../../src/lib/network/membership.js';
import {runInNetwork} from '../../../src/lib/network/run.js';
import type {RunSealedOptions} from '../../../src/lib/seal/run-sealed.js';

const {did, hooks} = vi.hoisted(() => ({
  did: [] as string[],
  hooks: {sealing: () => Promise.resolve(), endsItself: false, connections: 0},
}));

vi.mock('../../../src/lib/network/membership.js', () => ({
  joinNetwork: async ({signal}: JoinOptions) => {
    const ended = Promise.withResolvers<TunlError | undefined>();
    signal?.addEventListener('abort', () => {
      did.push('the membership ends');
      ended.resolve(new TunlError('ABORTED'));
    });
    return {
      ...{address: 'fdaa::1', name: 'one', network: 'lab', ended: ended.promise},
      outstanding: {connections: 0, bytes: 0, moved: 0},
      close: async () => void did.push('the membership is closed'),
    };
  },
}));

vi.mock('../../../src/lib/network/member-seal.js', () => ({
  acceptInto: () => () => {},
  openMemberSeal: async () => {
    await hooks.sealing();
    return {
      ...{connections: hooks.connections, movedBytes: 0, lastDatagrams: async () => {}},
      close: async () => void did.push('the seal is closed'),
    };
  },
}));

vi.mock('../../../src/lib/seal/run-sealed.js', async (original) => ({
  ...(await original<object>()),
  runSealed: async (_: unknown, __: unknown, {signal}: RunSealedOptions) => {
    if (hooks.endsItself) return {code: 7, signal: null};
    await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    did.push('the command is asked to end');
    await new Promise(setImmediate);
    did.push('the command has ended');
    return {code: 143, signal: 'SIGTERM'};
  },
}));

beforeEach(() => {
  did.splice(0);
  Object.assign(hooks, {sealing: () => Promise.resolve(), endsItself: false, connections: 0});
});

const options = (signal: AbortSignal) => ({link: {} as never, network: 'lab', name: 'one', signal});

test('the membership stays until the command has ended', async () => {
  const aborter = new AbortController();
  const onStart = () => void setImmediate(() => aborter.abort());
  expect(await runInNetwork(['true'], {...options(aborter.signal), onStart})).toEqual({
    ...{code: 143, signal: 'SIGTERM'},
  });
  expect(did).toEqual([
    'the command is asked to end',
    'the command has ended',
    'the seal is closed',
    'the membership is closed',
  ]);
});

test('until the seal is open, the signal ends the membership', async () => {
  const aborter = new AbortController();
  hooks.sealing = async () => {
    aborter.abort();
    throw new TunlError('ABORTED');
  };
  await expect(runInNetwork(['true'], options(aborter.signal))).rejects.toMatchObject({code: 'ABORTED'});
  expect(did).toEqual(['the membership ends', 'the membership is closed']);
});

test('a signal ends the wait for the last bytes, and the exit code stays', async () => {
  Object.assign(hooks, {endsItself: true, connections: 1});
  const aborter = new AbortController();
  const onExit = () => {
    did.push('the caller knows');
    aborter.abort();
  };
  expect(await runInNetwork(['true'], {...options(aborter.signal), onExit})).toMatchObject({code: 7});
  expect(did).toEqual(['the caller knows', 'the seal is closed', 'the membership is closed']);
});
