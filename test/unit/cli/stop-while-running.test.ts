// Ctrl+C and SIGTERM for a process whose command runs in a network of its own: before, during and after that.

import {expect, test, vi} from 'vitest';
import {runBehindEgress} from '../../../src/lib/cli/egress/run.js';
import {runAsMember} from '../../../src/lib/cli/network/run.js';

interface Run {
  readonly signal: AbortSignal;
  readonly onStart: (facts: object) => void;
  readonly onExit?: () => void;
}

const {did, run} = vi.hoisted(() => {
  const did: string[] = [];
  /** A command that ends with 7, and whose last bytes nobody takes. */
  const run = async ({signal, onStart, onExit}: Run) => {
    onStart({});
    process.emit('SIGTERM');
    did.push(`while it runs: ${signal.aborted}`);
    onExit?.();
    process.emit('SIGTERM');
    did.push(`when it has ended: ${signal.aborted}`);
    return {code: 7, signal: null};
  };
  return {did, run};
});

const {link} = vi.hoisted(() => {
  const close = async () => {};
  return {link: {close, [Symbol.asyncDispose]: close}};
});

vi.mock('../../../src/lib/open-link.js', () => ({openLink: async () => link}));
vi.mock('../../../src/lib/network/outside.js', () => ({outsideOf: async () => undefined}));
vi.mock('../../../src/lib/network/run.js', () => ({
  newMemberName: () => 'one',
  runInNetwork: async (_: unknown, options: Run) => await run(options),
}));
vi.mock('../../../src/lib/egress/client.js', () => ({addressesOf: async () => [], EgressClient: class {}}));
vi.mock('../../../src/lib/egress/run.js', () => ({
  runByEgress: async (opening: Promise<unknown>, _: unknown, options: Run) => {
    await opening;
    return await run(options);
  },
  runByProxy: () => {},
}));

const presenter = {event: () => {}, tell: () => {}, log: undefined} as never;
const RELAY = {relay: 'https://relay.example'};

test.each([
  ['net run', () => runAsMember(['x'], {network: 'lab', flags: RELAY as never, presenter})],
  ['egress run', () => runBehindEgress(['x'], {...RELAY, via: 'one'} as never, presenter)],
] as const)(
  '%s: they are for the command while it runs, and end the wait for its last bytes',
  async (_, begin) => {
    did.splice(0);
    const onSignal = () => {};
    // Without a listener they would end this process.
    process.on('SIGTERM', onSignal);
    try {
      expect(await begin()).toBe(7);
    } finally {
      process.off('SIGTERM', onSignal);
    }
    expect(did).toEqual(['while it runs: false', 'when it has ended: true']);
  },
);
