// The start of a namespace that has processes of its own, and when it begins again without them.

import {EventEmitter} from 'node:events';
import {PassThrough} from 'node:stream';
import {beforeEach, expect, test, vi} from 'vitest';
import {Namespace} from '../../../src/lib/seal/namespace.js';

interface Start {
  /** Its first line; undefined: it ends without one. */
  readonly line?: string;
  readonly said?: string;
  readonly isLate?: boolean;
  readonly fails?: Error;
}

const {machine} = vi.hoisted(() => ({machine: {next: {} as Start, texts: [] as (string | undefined)[]}}));

vi.mock('../../../src/lib/seal/obstacles.js', async (original) => ({
  ...(await original<object>()),
  missing: () => undefined,
  programPath: (name: string) => `/usr/bin/${name}`,
}));

vi.mock('../../../src/lib/seal/holder-process.js', async (original) => ({
  ...(await original<object>()),
  startHolder: (_: unknown, variables: Record<string, string>) => {
    machine.texts.push(variables.SEAL_HOLDER === undefined ? 'without' : 'with');
    const {fails, isLate} = machine.next;
    if (fails !== undefined) throw fails;
    const child = Object.assign(new EventEmitter(), {stdin: new PassThrough(), stdio: [], kill: () => {}});
    return Object.assign(child, {exitCode: isLate ? null : 1, signalCode: null});
  },
  follow: () => ({
    lines: {next: async () => ({value: machine.next.line, done: false})},
    said: async () => machine.next.said ?? '',
    ended: Promise.resolve(undefined),
  }),
  deadline: async (step: Promise<unknown>) => (machine.next.isLate ? undefined : await step),
}));

beforeEach(() => void machine.texts.splice(0));

const events = {onDoor: () => {}, onResolver: () => {}, onDialled: () => {}, onLost: () => {}};
const open = () => Namespace.open(events, {ownProcesses: true});

test.each([
  ['that is late', {isLate: true}, /not ready in time/],
  ['without a free descriptor', {fails: Object.assign(new Error('EMFILE'), {code: 'EMFILE'})}, /EMFILE/],
  ['whose namespaces are too many', {said: 'unshare: unshare failed: No space left on device'}, /No space/],
  ['whose rules are not loaded', {line: 'up 73'}, /nft could not load/],
])('a start %s has failed, and does not begin again with less', async (_, next, reason) => {
  machine.next = next;
  await expect(open()).rejects.toMatchObject({
    code: 'SANDBOX_EGRESS',
    message: expect.stringMatching(reason),
  });
  expect(machine.texts).toEqual(['with']);
});

test.each([
  ['whose /proc is masked', {said: 'unshare: mount /proc failed: Operation not permitted'}],
  ['with programs that are too old', {line: 'up 86'}],
  ['with a setpriv that is too old', {said: "setpriv: unrecognized option '--pdeathsig=KILL'"}],
])('a system %s has a seal without a process namespace', async (_, next) => {
  machine.next = next;
  await expect(open()).rejects.toMatchObject({code: 'SANDBOX_EGRESS'});
  expect(machine.texts).toEqual(['with', 'without']);
});
