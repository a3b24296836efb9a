// Which isolation program is chosen, and what is refused instead of being weaker than it says.
import {expect, test} from 'vitest';
import type {BackendName, BackendReport, SandboxBackend} from '../../../src/lib/sandbox/backend.js';
import {chooseBackend, type Wanted} from '../../../src/lib/sandbox/choose.js';
import {FakeBackend} from '../../helpers/fake-sandbox.js';

const NOTHING: Wanted = {backend: 'auto', limits: {}, egress: {kind: 'none'}, bestEffort: false};

/** Backends whose reports differ from one in which everything is real. */
function backends(reports: Partial<Record<BackendName, Partial<BackendReport>>> = {}) {
  const probed: BackendName[] = [];
  const open = async (name: BackendName): Promise<SandboxBackend> => {
    const fake = new FakeBackend();
    fake.report = {...reports[name], name};
    const probe = async () => {
      probed.push(name);
      return await FakeBackend.prototype.probe.call(fake);
    };
    return Object.assign(Object.create(fake), {name, probe}) as SandboxBackend;
  };
  return {probed, open};
}

const gone = {available: false, why: 'it is not installed', mend: 'apt install it'};
const soft = {what: 'memory', reality: 'soft' as const, why: 'cgroups cannot be written', mend: 'mend it so'};

async function limits(report: Partial<BackendReport['limits']>): Promise<BackendReport['limits']> {
  return {...(await new FakeBackend().probe()).limits, ...report};
}

test.each<[string, Partial<Wanted>, Parameters<typeof backends>[0], BackendName]>([
  ['nothing asked', {}, {}, 'bubblewrap'],
  ['an image', {image: 'alpine'}, {}, 'podman'],
  ['a runtime', {runtime: 'runsc', image: 'alpine'}, {}, 'podman'],
  ['an image without podman', {image: 'alpine'}, {podman: gone}, 'docker'],
  ['docker', {backend: 'docker', image: 'alpine'}, {}, 'docker'],
  ['limits that hold', {limits: {memoryBytes: 1}}, {}, 'bubblewrap'],
])('%s', async (_what, wanted, reports, name) => {
  expect((await chooseBackend({...NOTHING, ...wanted}, backends(reports).open)).name).toBe(name);
});

test('without limits and rules nothing is probed', async () => {
  const {probed, open} = backends();
  await chooseBackend(NOTHING, open);
  expect(probed).toEqual([]);
});

test('podman and docker are missing: both reasons, and never bubblewrap instead', async () => {
  const {open, probed} = backends({podman: gone, docker: {...gone, why: 'its socket is gone'}});
  await expect(chooseBackend({...NOTHING, image: 'alpine'}, open)).rejects.toMatchObject({
    code: 'SANDBOX_BACKEND',
    message: 'podman: it is not installed. docker: its socket is gone.',
    next: 'apt install it',
  });
  expect(probed).toEqual(['podman', 'docker']);
});

test('a limit that does not hold is an error, with its mend', async () => {
  const {open} = backends({bubblewrap: {limits: await limits({memoryBytes: soft})}});
  const wanted = {...NOTHING, limits: {memoryBytes: 1, pids: 5}};
  await expect(chooseBackend(wanted, open)).rejects.toMatchObject({
    code: 'SANDBOX_LIMIT',
    message: 'Memory holds for each process alone with bubblewrap here: cgroups cannot be written.',
    next: 'mend it so',
  });
  await expect(chooseBackend({...wanted, bestEffort: true}, open)).resolves.toMatchObject({
    name: 'bubblewrap',
  });
  await expect(chooseBackend({...NOTHING, limits: {pids: 5}}, open)).resolves.toBeDefined();
});

test('rules for the network that do not hold are an error, also with best effort', async () => {
  const {open} = backends({bubblewrap: {egress: {what: 'egress', reality: 'none', why: 'nft is missing'}}});
  const wanted: Wanted = {...NOTHING, egress: {kind: 'internet'}, bestEffort: true};
  await expect(chooseBackend(wanted, open)).rejects.toMatchObject({
    code: 'SANDBOX_EGRESS',
    message: 'Rules for the network do not hold with bubblewrap here: nft is missing.',
  });
});

test.each<[Partial<Wanted>]>([[{backend: 'bubblewrap', image: 'alpine'}], [{backend: 'podman'}]])(
  '%j do not go together',
  async (wanted) => {
    await expect(chooseBackend({...NOTHING, ...wanted}, backends().open)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  },
);
