import {expect, test} from 'vitest';
import {type Clock, systemClock} from '../../../src/lib/core/clock.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {Homes} from '../../../src/lib/hub/homes.js';
import {commandProgram} from '../../../src/lib/hub/programs/command.js';
import {jupyterProgram} from '../../../src/lib/hub/programs/jupyter.js';
import type {SessionEvent, SessionView} from '../../../src/lib/hub/session.js';
import {SessionFolder} from '../../../src/lib/hub/session-folder.js';
import {Sessions} from '../../../src/lib/hub/sessions.js';
import type {Template} from '../../../src/lib/hub/template.js';
import type {HubUser} from '../../../src/lib/hub/users.js';
import {eventually} from '../../helpers/eventually.js';
import {type FakeSandbox, FakeSandboxes} from '../../helpers/fake-sandboxes.js';
import {hubTemplate} from '../../helpers/hub-template.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {Scope} from '../../helpers/scope.js';

const ANA: HubUser = {id: 'u_aaaaaaaaaa', name: 'ana', quota: 2, createdAt: '', number: 0};
const BEN: HubUser = {id: 'u_bbbbbbbbbb', name: 'ben', quota: 50, createdAt: '', number: 1};

interface Rig {
  sessions: Sessions;
  sandboxes: FakeSandboxes;
  time: {now: number};
  events: SessionEvent[];
  folder: SessionFolder;
  again(clock?: Clock): Promise<Sessions>;
  settled(view: SessionView): Promise<SessionView>;
}

async function rig(
  scope: Scope,
  {
    template = {},
    mostSessions = 100,
    startsAtOnce = 4,
    mostQueued = 100,
    freeMemoryBytes = 0,
    users = [ANA, BEN],
  }: {
    template?: Partial<Template>;
    mostSessions?: number;
    startsAtOnce?: number;
    mostQueued?: number;
    freeMemoryBytes?: number;
    users?: HubUser[];
  } = {},
): Promise<Rig> {
  const stateDir = await scope.tempDir('hub');
  const sandboxes = new FakeSandboxes();
  scope.onEnd(() => sandboxes.closeAll());
  const time = {now: Date.now()};
  const events: SessionEvent[] = [];
  const make = async (clock: Clock = systemClock) => {
    const made = new Sessions({
      templates: new Map([['web', hubTemplate(template)]]),
      sandboxes,
      folder: await SessionFolder.open(stateDir),
      homes: new Homes(stateDir),
      stateDir,
      userById: async (id) => users.find((each) => each.id === id),
      addressOf: (label) => ({url: `https://${label}.relay.test`, host: `${label}.relay.test`}),
      mostSessions,
      startsAtOnce,
      mostQueued,
      floors: {freeMemoryBytes, freeDiskBytes: 0},
      clock,
      log: createLogger('hub', undefined),
      wallNow: () => time.now,
    });
    made.onEvent((event) => events.push(event));
    await made.start();
    scope.onEnd(() => made.close());
    return made;
  };
  const sessions = await make();
  return {
    sessions,
    sandboxes,
    time,
    events,
    folder: await SessionFolder.open(stateDir),
    again: make,
    settled: async ({id}) => (await sessions.settled(id, scope.signal)) as SessionView,
  };
}

test('a session becomes ready, has its own address, and its token is in it', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope);
  const ready = await settled(await sessions.create(ANA, {template: 'web'}));
  const [sandbox] = sandboxes.all;
  expect(ready).toMatchObject({state: 'ready', user: 'ana', sandboxId: 'sb_0'});
  expect(ready.url).toMatch(
    new RegExp(`^https://${sandbox?.wish.label}\\.relay\\.test/\\?token=[\\w-]{32}$`),
  );
  expect(sandbox?.wish.command).toEqual(['serve', '8080']);
});

test('fifty requests at once make fifty sessions, which start in turn', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {startsAtOnce: 3});
  let starting = 0;
  let most = 0;
  sandboxes.onStart = async (sandbox) => {
    most = Math.max(most, ++starting);
    await sandbox.listen();
    starting--;
  };
  const views = await Promise.all(Array.from({length: 50}, () => sessions.create(BEN, {template: 'web'})));
  const ready = await Promise.all(views.map(settled));
  expect(new Set(ready.map(({url}) => url)).size).toBe(50);
  expect(ready.every(({state}) => state === 'ready')).toBe(true);
  expect(most).toBeLessThanOrEqual(3);
});

test('a user has as many sessions as the quota, also when all requests come at once', async () => {
  await using scope = new Scope();
  const {sessions} = await rig(scope);
  const results = await Promise.allSettled(
    Array.from({length: 5}, () => sessions.create(ANA, {template: 'web'})),
  );
  expect(results.filter(({status}) => status === 'fulfilled')).toHaveLength(2);
  expect(results.filter((each) => each.status === 'rejected').map(({reason}) => reason.code)).toEqual(
    Array(3).fill('HUB_QUOTA'),
  );
});

test('no more sessions wait for their start than may, also when all requests come at once', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes} = await rig(scope, {startsAtOnce: 1, mostQueued: 2});
  sandboxes.onStart = () => {};
  const results = await Promise.allSettled(
    Array.from({length: 30}, () => sessions.create(BEN, {template: 'web'})),
  );
  // One starts, two wait.
  expect(results.filter(({status}) => status === 'fulfilled')).toHaveLength(3);
  const codes = results.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []));
  expect(new Set(codes)).toEqual(new Set(['HUB_FULL']));
});

test('the same name is the same session, and the same key the same request', async () => {
  await using scope = new Scope();
  const {sessions, settled} = await rig(scope);
  const [one, two] = await Promise.all([
    sessions.create(ANA, {template: 'web', name: 'thesis'}),
    sessions.create(ANA, {template: 'web', name: 'thesis'}),
  ]);
  expect(two.id).toBe(one.id);
  const keyed = await sessions.create(BEN, {template: 'web', requestKey: 'k1'});
  await settled(keyed);
  await sessions.stop(keyed.id);
  expect((await sessions.create(BEN, {template: 'web', requestKey: 'k1'})).id).toBe(keyed.id);
  await expect(
    sessions.create(BEN, {template: 'web', requestKey: 'k1', name: 'other'}),
  ).rejects.toMatchObject({
    code: 'HUB_NAME_USED',
  });
});

test('a start while the session of this name stops waits for its end', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope);
  const first = await settled(await sessions.create(ANA, {template: 'web', name: 'thesis'}));
  const stopping = sessions.stop(first.id);
  const second = await sessions.create(ANA, {template: 'web', name: 'thesis'});
  expect((await stopping).state).toBe('stopped');
  expect(second.id).not.toBe(first.id);
  expect(await settled(second)).toMatchObject({state: 'ready'});
  expect(sandboxes.all).toHaveLength(2);
});

test.each([
  ['an unknown template', {template: 'x'}, 'HUB_TEMPLATE_UNKNOWN'],
  ['a name that is a path', {template: 'web', name: '../x'}, 'OPTION_INVALID'],
])('%s is refused', async (_, wish, code) => {
  await using scope = new Scope();
  const {sessions, sandboxes} = await rig(scope);
  await expect(sessions.create(ANA, wish)).rejects.toMatchObject({code});
  expect(sandboxes.all).toHaveLength(0);
});

test('without free memory no session starts', async () => {
  await using scope = new Scope();
  const {sessions} = await rig(scope, {freeMemoryBytes: 2 ** 50});
  await expect(sessions.create(ANA, {template: 'web'})).rejects.toMatchObject({code: 'HUB_FULL'});
});

test('a program that dies before it is ready fails the session with its last lines, without its token', async () => {
  await using scope = new Scope();
  const program = commandProgram({command: ['serve'], env: {TOKEN: '{secret}'}});
  const {sessions, sandboxes, settled} = await rig(scope, {template: {program}});
  let token = '';
  sandboxes.onStart = (sandbox) => {
    token = sandbox.wish.env.TOKEN ?? '';
    sandbox.output = `one\ntoken is ${token}\nno such module\n`;
    sandbox.end({reason: 'exited', code: 1});
  };
  const failed = await settled(await sessions.create(ANA, {template: 'web'}));
  expect(failed).toMatchObject({
    state: 'failed',
    end: {reason: 'exited', detail: 'Its program ended with exit code 1.'},
  });
  expect(token).not.toBe('');
  expect(failed.end?.tail).toEqual(['one', 'token is …', 'no such module']);
  // The quota is free again.
  sandboxes.onStart = (sandbox) => sandbox.listen();
  await Promise.all([sessions.create(ANA, {template: 'web'}), sessions.create(ANA, {template: 'web'})]);
});

test('a program that does not answer in time fails the session, and its sandbox ends', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {template: {readyTimeoutMs: 50}});
  sandboxes.onStart = () => {};
  const failed = await settled(await sessions.create(ANA, {template: 'web'}));
  expect(failed).toMatchObject({state: 'failed', end: {reason: 'not-ready'}});
  expect(sandboxes.all[0]?.isTerminated).toBe(true);
});

test.each<[string, (sandbox: FakeSandbox) => Promise<void>]>([
  [
    'gets no address',
    async (sandbox) => {
      sandbox.hasAddress = false;
      await sandbox.listen();
    },
  ],
  [
    'cannot be reached after its start',
    async () => {
      throw new TunlError('SANDBOX_SILENT');
    },
  ],
])('a sandbox that %s fails the session, and ends', async (_, onStart) => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope);
  sandboxes.onStart = onStart;
  const failed = await settled(await sessions.create(ANA, {template: 'web'}));
  expect(failed).toMatchObject({state: 'failed', end: {reason: 'not-started'}});
  expect(sandboxes.all.map(({isTerminated}) => isTerminated)).toEqual([true]);
});

test('a program that dies later starts again under the same address', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {template: {restart: 'on-failure'}});
  const ready = await settled(await sessions.create(ANA, {template: 'web'}));
  sandboxes.all[0]?.end({reason: 'oom'});
  await eventually(() => expect(sessions.view(ready.id)).toMatchObject({state: 'ready', sandboxId: 'sb_1'}));
  expect(sessions.view(ready.id)?.url).toBe(ready.url);
});

test('an idle session stops, and one whose kernel works does not', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, time, events} = await rig(scope, {
    template: {program: jupyterProgram(), idleMs: 3_600_000},
  });
  let kernel = {last_activity: new Date(time.now).toISOString(), execution_state: 'busy'};
  sandboxes.onStart = async (sandbox) => {
    sandbox.answer = (path) => ({status: 200, body: path === '/api/kernels' ? JSON.stringify([kernel]) : ''});
    await sandbox.listen();
  };
  const ready = await settled(await sessions.create(ANA, {template: 'web'}));
  time.now += 10 * 3_600_000;
  await sessions.look();
  expect(sessions.view(ready.id)).toMatchObject({
    state: 'ready',
    keptBy: {source: 'program', detail: 'kernel busy', isNow: true},
  });
  kernel = {last_activity: new Date(time.now).toISOString(), execution_state: 'idle'};
  time.now += 3_600_000 - 60_000;
  await sessions.look();
  expect(events.filter(({type}) => type === 'warning')).toMatchObject([{reason: 'idle'}]);
  expect(sessions.view(ready.id)?.state).toBe('ready');
  time.now += 60_000;
  await sessions.look();
  await eventually(() =>
    expect(sessions.view(ready.id)).toMatchObject({state: 'stopped', end: {reason: 'idle'}}),
  );
});

test('a clock inside that is ahead does not keep a session', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, time} = await rig(scope, {
    template: {program: jupyterProgram(), idleMs: 60_000},
  });
  const kernel = {last_activity: new Date(time.now + 1e10).toISOString(), execution_state: 'idle'};
  sandboxes.onStart = async (sandbox) => {
    sandbox.answer = (path) => ({status: 200, body: path === '/api/kernels' ? JSON.stringify([kernel]) : ''});
    await sandbox.listen();
  };
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  await sessions.look();
  expect(sessions.view(id)?.idleStopsAt).toBe(time.now + 60_000);
});

test('the next hub takes over what runs, and says what was lost', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, again} = await rig(scope);
  const kept = await settled(await sessions.create(ANA, {template: 'web', name: 'kept'}));
  const lost = await settled(await sessions.create(ANA, {template: 'web', name: 'lost'}));
  sessions.close();
  const gone = sandboxes.all.find(({id}) => id === lost.sandboxId);
  if (gone !== undefined) gone.isTerminated = true;
  const next = await again();
  expect(next.view(kept.id)).toMatchObject({state: 'ready', url: kept.url, sandboxId: kept.sandboxId});
  expect(next.view(lost.id)).toMatchObject({state: 'failed', end: {reason: 'lost'}});
  expect(next.view(kept.id)?.user).toBe('ana');
  // What it took over ends as before.
  sandboxes.all.find(({id}) => id === kept.sandboxId)?.end({reason: 'timeout'});
  await eventually(() =>
    expect(next.view(kept.id)).toMatchObject({state: 'stopped', end: {reason: 'timeout'}}),
  );
});

test('a restart is another sandbox with the same address, whose failures are counted anew', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope);
  const before = await settled(await sessions.create(ANA, {template: 'web'}));
  expect(sessions.restart(before.id)).toMatchObject({state: 'queued'});
  // A second click changes nothing.
  expect(sessions.restart(before.id)).toMatchObject({state: 'queued'});
  const after = await settled(before);
  expect(after).toMatchObject({state: 'ready', url: before.url, sandboxId: 'sb_1'});
  expect(sandboxes.all.map(({isTerminated}) => isTerminated)).toEqual([true, false]);
  sandboxes.all[1]?.end({reason: 'exited', code: 1});
  await eventually(() => expect(sessions.view(before.id)).toMatchObject({state: 'failed'}));
  expect(() => sessions.restart(before.id)).toThrow(expect.objectContaining({code: 'SANDBOX_ENDED'}));
  expect(() => sessions.restart('s_nothing2')).toThrow(
    expect.objectContaining({code: 'HUB_SESSION_UNKNOWN'}),
  );
});

test('a restart goes on when the hub is killed in the middle, and a stop ends it', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, again, folder} = await rig(scope);
  const before = await settled(await sessions.create(ANA, {template: 'web'}));
  const [old] = sandboxes.all;
  if (old !== undefined) old.isStubborn = true;
  sessions.restart(before.id);
  await eventually(async () => expect(await folder.readAll()).toMatchObject([{state: 'queued'}]));
  sessions.close();
  if (old !== undefined) old.isStubborn = false;
  const next = await again();
  const after = await next.settled(before.id, scope.signal);
  expect(after).toMatchObject({state: 'ready', url: before.url, sandboxId: 'sb_1'});
  expect(old?.isTerminated).toBe(true);
  const [, second] = sandboxes.all;
  if (second !== undefined) second.isStubborn = true;
  next.restart(before.id);
  const stopped = next.stop(before.id);
  second?.end({reason: 'terminated'});
  expect(await stopped).toMatchObject({state: 'stopped', end: {reason: 'asked'}});
  expect(sandboxes.all).toHaveLength(2);
});

const HOUR = 3_600_000;

/** A session of an hour, which may be extended to two and a half. */
async function hourLong(scope: Scope) {
  const all = await rig(scope, {template: {timeoutMs: HOUR, maxLifetimeMs: 2.5 * HOUR}});
  const {sessions, sandboxes, settled, time} = all;
  sandboxes.onStart = async (sandbox) => {
    sandbox.stopsAt = time.now + HOUR;
    await sandbox.listen();
  };
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  return {...all, id};
}

test('extensions end at the longest life of the template', async () => {
  await using scope = new Scope();
  const {sessions, time, id} = await hourLong(scope);
  expect((await sessions.extend(id, HOUR)).stopsAt).toBe(time.now + 2 * HOUR);
  expect((await sessions.extend(id, HOUR)).stopsAt).toBe(time.now + 2.5 * HOUR);
  await expect(sessions.extend(id, HOUR)).rejects.toMatchObject({
    code: 'NOT_ALLOWED',
    message: expect.stringContaining('150m at most'),
  });
});

test('extensions at the same time end at the longest life together', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, time, id} = await hourLong(scope);
  const results = await Promise.allSettled(Array.from({length: 10}, () => sessions.extend(id, HOUR)));
  expect(results.filter(({status}) => status === 'fulfilled')).toHaveLength(2);
  expect(sandboxes.all[0]?.stopsAt).toBe(time.now + 2.5 * HOUR);
  expect(sessions.view(id)?.stopsAt).toBe(time.now + 2.5 * HOUR);
});

test('the sessions of a user who was removed end', async () => {
  await using scope = new Scope();
  const users = [ANA];
  const {sessions, settled} = await rig(scope, {users});
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  users.pop();
  await sessions.look();
  await eventually(() =>
    expect(sessions.view(id)).toMatchObject({state: 'stopped', end: {detail: 'Its user was removed.'}}),
  );
});

test('a program that answers a probe with another protocol keeps nobody waiting', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {template: {readyTimeoutMs: 300}});
  sandboxes.onStart = async (sandbox) => {
    await sandbox.listenRaw('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
  };
  expect(await settled(await sessions.create(ANA, {template: 'web'}))).toMatchObject({
    state: 'failed',
    end: {reason: 'not-ready'},
  });
  await sessions.look();
});

test('a look at which the program does not answer stops nothing', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, time} = await rig(scope, {
    template: {program: jupyterProgram(), idleMs: 60_000},
  });
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  sandboxes.all[0]?.deafen();
  time.now += 3_600_000;
  await sessions.look();
  expect(sessions.view(id)?.state).toBe('ready');
  for (let looks = 0; looks < 20; looks += 1) await sessions.look();
  await eventually(() => expect(sessions.view(id)).toMatchObject({state: 'stopped', end: {reason: 'idle'}}));
});

test('a session that was being stopped is stopped by the next hub, also when it would always start again', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, again, folder} = await rig(scope, {template: {restart: 'always'}});
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  const [sandbox] = sandboxes.all;
  if (sandbox !== undefined) sandbox.isStubborn = true;
  void sessions.stop(id);
  await eventually(async () => expect(await folder.readAll()).toMatchObject([{state: 'stopping'}]));
  sessions.close();
  if (sandbox !== undefined) sandbox.isStubborn = false;
  const next = await again();
  await eventually(() => expect(next.view(id)).toMatchObject({state: 'stopped', end: {reason: 'asked'}}));
  expect(sandboxes.all).toHaveLength(1);
});

test('a program that dies again and again starts three times more', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {template: {restart: 'on-failure'}});
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  for (let starts = 1; starts <= 4; starts += 1) {
    await eventually(() =>
      expect(sessions.view(id)).toMatchObject({state: 'ready', sandboxId: sandboxes.all[starts - 1]?.id}),
    );
    sandboxes.all[starts - 1]?.end({reason: 'exited', code: 1});
  }
  await eventually(() => expect(sessions.view(id)?.state).toBe('failed'));
  expect(sandboxes.all).toHaveLength(4);
}, 40_000);

test('who waits for a restart hears of the start that follows a failed one', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {template: {restart: 'on-failure'}});
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  sandboxes.onStart = async (sandbox) => {
    sandboxes.onStart = (each) => each.listen();
    sandbox.end({reason: 'exited', code: 1});
  };
  sessions.restart(id);
  expect(await sessions.settled(id, scope.signal)).toMatchObject({state: 'ready'});
  expect(sandboxes.all).toHaveLength(3);
});

test('a stop in the pause before the next start is a stop', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope, {template: {restart: 'on-failure'}});
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  sandboxes.all[0]?.end({reason: 'exited', code: 1});
  await eventually(() => expect(sessions.view(id)?.state).toBe('queued'));
  expect(await sessions.stop(id)).toMatchObject({state: 'stopped', end: {reason: 'asked'}});
});

test('a request that crosses with the end of the hub starts nothing', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes} = await rig(scope);
  const creating = sessions.create(ANA, {template: 'web'});
  sessions.close();
  await expect(creating).rejects.toMatchObject({code: 'HUB_AWAY'});
  expect(sandboxes.all).toEqual([]);
});

test('an owner that does not answer keeps no other session waiting', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, again} = await rig(scope);
  const kept = await settled(await sessions.create(ANA, {template: 'web', name: 'kept'}));
  const silent = await settled(await sessions.create(ANA, {template: 'web', name: 'silent'}));
  sessions.close();
  sandboxes.silent.add(silent.sandboxId ?? '');
  const next = await again();
  await eventually(() => expect(next.view(kept.id)).toMatchObject({state: 'ready'}));
  expect(next.view(silent.id)?.state).toBe('ready');
  // It is still the session of this name.
  expect((await next.create(ANA, {template: 'web', name: 'silent'})).id).toBe(silent.id);
});

test('a stop ends a sandbox whose owner does not answer', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled} = await rig(scope);
  const {id, sandboxId = ''} = await settled(await sessions.create(ANA, {template: 'web'}));
  sandboxes.silent.add(sandboxId);
  sandboxes.all[0]?.end({reason: 'lost'});
  expect(await sessions.stop(id)).toMatchObject({state: 'stopped', end: {reason: 'asked'}});
  expect(sandboxes.all[0]?.isTerminated).toBe(true);
});

test('the next hub ends sandboxes whose owner does not answer: at a stop, without their user, and when it waits no longer', async () => {
  await using scope = new Scope();
  const users = [ANA, BEN];
  const {sessions, sandboxes, settled, again} = await rig(scope, {users});
  const wishes = [
    [ANA, 'stopped'],
    [ANA, 'silent'],
    [BEN, 'removed'],
  ] as const;
  const views = await Promise.all(
    wishes.map(async ([user, name]) => settled(await sessions.create(user, {template: 'web', name}))),
  );
  sessions.close();
  for (const {sandboxId = ''} of views) sandboxes.silent.add(sandboxId);
  users.pop();
  const clock = new ManualClock();
  const next = await again(clock);
  const [stopped, silent, removed] = views.map(({id}) => id);
  const isTerminated = (id = '') =>
    sandboxes.all.find((each) => each.id === next.view(id)?.sandboxId)?.isTerminated;
  expect(next.view(removed ?? '')).toMatchObject({state: 'stopped', end: {detail: 'Its user was removed.'}});
  expect(isTerminated(removed)).toBe(true);
  expect(await next.stop(stopped ?? '')).toMatchObject({state: 'stopped', end: {reason: 'asked'}});
  expect(isTerminated(stopped)).toBe(true);
  expect(isTerminated(silent)).toBe(false);
  await eventually(() => {
    clock.advance(10_000);
    expect(next.view(silent ?? '')).toMatchObject({state: 'failed'});
  });
  expect(isTerminated(silent)).toBe(true);
});

test('a kernel that works keeps JupyterLab, also when the list of files is too long', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, time} = await rig(scope, {
    template: {program: jupyterProgram(), idleMs: 600_000},
  });
  const kernel = {execution_state: 'busy', last_activity: new Date(time.now).toISOString()};
  const answers: Record<string, string> = {
    '/api/kernels': JSON.stringify([kernel]),
    '/api/contents?content=1': ' '.repeat(300_000),
  };
  sandboxes.onStart = async (sandbox) => {
    sandbox.answer = (path) => ({status: 200, body: answers[path] ?? '[]'});
    await sandbox.listen();
  };
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  for (let looks = 0; looks < 25; looks += 1) {
    time.now += 60_000;
    await sessions.look();
  }
  expect(sessions.view(id)).toMatchObject({
    state: 'ready',
    keptBy: {source: 'program', detail: 'kernel busy'},
  });
});

test('the bytes of an open page keep no JupyterLab, and a saved file or a terminal does', async () => {
  await using scope = new Scope();
  const {sessions, sandboxes, settled, time} = await rig(scope, {
    template: {program: jupyterProgram(), idleMs: 600_000},
  });
  const start = time.now;
  const answers: Record<string, unknown> = {'/api/kernels': []};
  sandboxes.onStart = async (sandbox) => {
    sandbox.answer = (path) => ({status: 200, body: JSON.stringify(answers[path] ?? [])});
    await sandbox.listen();
  };
  const {id} = await settled(await sessions.create(ANA, {template: 'web'}));
  const [sandbox] = sandboxes.all;
  time.now = start + 300_000;
  if (sandbox !== undefined) sandbox.activity = {source: 'traffic', at: time.now};
  await sessions.look();
  expect(sessions.view(id)?.keptBy?.source).toBe('start');
  answers['/api/contents?content=1'] = {content: [{last_modified: new Date(start + 100_000).toISOString()}]};
  await sessions.look();
  expect(sessions.view(id)?.keptBy).toMatchObject({source: 'program', detail: 'file', at: start + 100_000});
  answers['/api/terminals'] = [{name: '1', last_activity: new Date(start + 200_000).toISOString()}];
  await sessions.look();
  expect(sessions.view(id)?.keptBy).toMatchObject({
    source: 'program',
    detail: 'terminal',
    at: start + 200_000,
  });
  time.now = start + 800_000;
  await sessions.look();
  await eventually(() => expect(sessions.view(id)).toMatchObject({state: 'stopped', end: {reason: 'idle'}}));
});
