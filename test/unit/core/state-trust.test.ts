// tunl never trusts files of another user in the state folder: not a folder, not a file, and nothing above.
import {chmod, chown, mkdir, realpath, rename, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {describe, expect} from 'vitest';
import {loadIdentity} from '../../../src/lib/agent/identity.js';
import {checkState} from '../../../src/lib/core/state-trust.js';
import {Roster} from '../../../src/lib/launch/roster.js';
import {makeRunFolder} from '../../../src/lib/launch/run-folder.js';
import {hostKey} from '../../../src/lib/launch/ssh/host-key.js';
import {Authority} from '../../../src/lib/relay/certificates/authority.js';
import {startRelay} from '../../../src/lib/relay/start.js';
import {run} from '../../helpers/child.js';
import {NOBODY, plainEnv, root} from '../../helpers/launching.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const isRoot = process.getuid?.() === 0;

/** A state folder with one file in a separate folder, below a folder that nobody else can write to. */
async function state(scope: Scope) {
  const above = join(await realpath(await scope.tempDir()), 'above');
  const stateDir = join(above, 'state');
  const folder = join(stateDir, 'background');
  const file = join(folder, 'abcdef.json');
  await mkdir(folder, {recursive: true, mode: 0o700});
  await writeFile(file, '{}', {mode: 0o600});
  return {above, stateDir, folder, file, check: () => checkState(stateDir, 'background', 'abcdef.json')};
}

const refusal = (reason: string, next: string) => ({
  code: 'STATE_DIR',
  message: expect.stringContaining(reason),
  next: expect.stringContaining(next),
});

test('files that only their owner can change are trusted, and missing files are no error', async ({
  scope,
}) => {
  const {above, stateDir, check} = await state(scope);
  await check();
  await chmod(stateDir, 0o755);
  await check();
  await checkState(stateDir, 'other', 'none.json');
  await checkState(join(above, 'none'));
  // Like /tmp.
  await chmod(above, 0o1777);
  await check();
  const link = join(above, 'link');
  await symlink(stateDir, link);
  await checkState(link, 'background');
});

test.for(['stateDir', 'folder', 'file'] as const)('%s that others can write to', async (which, {scope}) => {
  const made = await state(scope);
  for (const mode of [0o777, 0o770, 0o702, 0o1777]) {
    await chmod(made[which], mode);
    const text = mode.toString(8).padStart(4, '0');
    await expect(made.check(), text).rejects.toMatchObject(
      refusal(`${made[which]} can be changed by other users (mode ${text}).`, `chmod go-w ${made[which]}`),
    );
  }
  await chmod(made[which], 0o755);
  await made.check();
});

test('a folder above that others can write to, and that is not sticky', async ({scope}) => {
  const {above, check} = await state(scope);
  await chmod(above, 0o777);
  await expect(check()).rejects.toMatchObject(
    refusal(`${above}, above the state folder`, `chmod go-w ${above}`),
  );
});

test('a link in place of a file, or of a folder', async ({scope}) => {
  const {above, stateDir, folder, file, check} = await state(scope);
  await rename(file, join(above, 'elsewhere'));
  await symlink(join(above, 'elsewhere'), file);
  await expect(check()).rejects.toMatchObject(refusal(`${file} is a symbolic link`, 'Remove it'));
  await rename(folder, join(above, 'folder'));
  await symlink(join(above, 'folder'), folder);
  await expect(checkState(stateDir, 'background')).rejects.toMatchObject(
    refusal(`${folder} is a symbolic`, ''),
  );
});

describe.runIf(isRoot)('what belongs to another user', () => {
  test.for(['stateDir', 'folder', 'file', 'above'] as const)('%s', async (which, {scope}) => {
    const made = await state(scope);
    await chown(made[which], 12_345, 12_345);
    await expect(made.check()).rejects.toMatchObject(refusal('belongs to user 12345', 'TUNL_STATE_DIR'));
  });

  test('a group of the user may write above, another group may not', async ({scope}) => {
    const {above, stateDir, file, folder} = await state(scope);
    const asNobody = (script: string) =>
      run(scope, 'setpriv', [
        ...[`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', process.execPath],
        ...['--import', join(root, 'test/helpers/ts-hook.js'), '--input-type=module', '-e', script],
      ]);
    const script = `const {checkState} = await import(${JSON.stringify(join(root, 'src/lib/core/state-trust.ts'))});
await checkState(${JSON.stringify(stateDir)}, 'background');`;
    for (const path of [above, stateDir, folder, file]) await chown(path, NOBODY, NOBODY);
    await chmod(join(above, '..'), 0o755);
    await chmod(above, 0o775);
    expect(await asNobody(script)).toMatchObject({code: 0, stderr: ''});
    await chown(above, NOBODY, 12_345);
    const refused = await asNobody(script);
    expect(refused.stderr).toContain(`${above}, above the state folder, can be changed`);
  });

  test.for<[string, (stateDir: string) => Promise<unknown>]>([
    ['agent.key', loadIdentity],
    ['ca/tunl-ca.key', (stateDir) => Authority.open(stateDir)],
    ['ca/leaf.key', (stateDir) => Authority.open(stateDir)],
    ['ssh/host_ed25519', (stateDir) => hostKey(stateDir, plainEnv())],
    ['background/abcdef.json', (stateDir) => new Roster(stateDir).living()],
    ['background/abcdef.json', (stateDir) => new Roster(stateDir).get('abcdef')],
    [
      'relay/r1.localhost/leases.json',
      (stateDir) => startRelay({domain: 'r1.localhost', token: '', stateDir}),
    ],
  ])('a planted %s is not trusted', async ([name, read], {scope}) => {
    const stateDir = await scope.tempDir('state');
    const path = join(stateDir, name);
    await mkdir(dirname(path), {recursive: true, mode: 0o700});
    await writeFile(path, '{}', {mode: 0o600});
    await chown(path, 12_345, 12_345);
    await expect(read(stateDir)).rejects.toMatchObject(
      refusal(`${path} belongs to user 12345`, `chown -R 0 ${path}`),
    );
  });
});

test('a folder that others can change is neither used nor read', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  await chmod(stateDir, 0o777);
  const roster = new Roster(stateDir);
  for (const [name, open] of Object.entries({
    identity: () => loadIdentity(stateDir),
    authority: () => Authority.open(stateDir),
    'host key': () => hostKey(stateDir, plainEnv()),
    list: () => roster.living(),
    stop: () => roster.get('abcdef'),
    detach: () => roster.prepare(),
    run: () => makeRunFolder(stateDir),
    relay: () => startRelay({domain: 'r1.localhost', token: '', stateDir}),
  })) {
    await expect(open(), name).rejects.toMatchObject(refusal('(mode 0777)', `chmod go-w ${stateDir}`));
  }
});
