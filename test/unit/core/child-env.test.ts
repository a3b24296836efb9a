// The relay's token is passed only to tunl itself in the background, and to no other process.
import {expect} from 'vitest';
import {FORWARD_SETTINGS} from '../../../src/lib/agent/settings-table.js';
import {childEnv} from '../../../src/lib/core/child-env.js';
import type {Setting} from '../../../src/lib/core/settings.js';
import {run} from '../../../src/lib/launch/run.js';
import {RELAY_SETTINGS} from '../../../src/lib/relay/settings-table.js';
import {test} from '../../helpers/test.js';
import {sourceFiles} from '../../project/source-files.js';

test('the environment of programs is the given one without the token', () => {
  expect(childEnv({PATH: '/bin', TUNL_TOKEN: 'secret', TUNL_RELAY: 'x'})).toEqual({
    PATH: '/bin',
    TUNL_RELAY: 'x',
  });
});

test('a short command does not see it, with and without a given environment', async ({scope}) => {
  const before = process.env.TUNL_TOKEN;
  process.env.TUNL_TOKEN = 'the-token';
  scope.onEnd(() => {
    if (before === undefined) delete process.env.TUNL_TOKEN;
    else process.env.TUNL_TOKEN = before;
  });
  for (const options of [{}, {env: {...process.env}}]) {
    const {code, stdout} = await run('env', [], options);
    expect(code).toBe(0);
    expect(stdout).toContain('PATH=');
    expect(stdout).not.toContain('the-token');
  }
});

test('every start of a process sets the environment', () => {
  /** Those that set it in another way, and the reason why no token is in it. */
  const own: Readonly<Record<string, string>> = {
    'src/lib/launch/background.ts': 'tunl itself in the background',
    'src/lib/launch/watcher.ts': 'only a path',
    'src/lib/sandbox/bubblewrap/launch.ts': 'a few names',
    'src/lib/sandbox/bubblewrap/programs.ts': 'a few names',
    'src/lib/sandbox/engine/own-service.ts': 'made of childEnv()',
    'src/lib/sandbox/init/pipes.ts': 'inside a sandbox, where the init has none',
    'src/lib/sandbox/init/start-child.ts': 'inside a sandbox, where the init has none',
    'src/lib/sandbox/init/terminal.ts': 'inside a sandbox, where the init has none',
    'src/lib/sandbox/supervisor/start.ts': 'tunl itself in the background',
    'src/lib/seal/fabric/hub-dialler.ts': 'only a path',
    'src/lib/seal/fabric/hub-process.ts': 'a few names',
    'src/lib/seal/fabric/member-process.ts': 'that of its caller, made of childEnv()',
    'src/lib/seal/holder-process.ts': 'a few names',
    'src/lib/seal/seal-options.ts': 'a declaration, of seal.ts',
    'src/lib/seal/seal.ts': 'that of its caller, else childEnv()',
  };
  const starting = sourceFiles().filter(({code}) =>
    /\b(?:spawn|spawnSync|execa|execFile|exec|fork)\(/.test(code),
  );
  const calls = starting.map(({path, code}) => ({
    path,
    calls: [...code.matchAll(/(?<![.\w])(?:spawn|spawnSync|execa|execFile|fork)\(/g)].length,
    environments: [...code.matchAll(/\benv: (?:childEnv\(|environment\()/g)].length,
  }));
  expect(calls.length).toBeGreaterThan(4);
  expect(Object.keys(own).filter((path) => !calls.some((each) => each.path === path))).toEqual([]);
  for (const {path, calls: count, environments} of calls.filter((each) => !Object.hasOwn(own, each.path)))
    expect({path, environments}).toEqual({path, environments: count});
});

test('no variable of a setting that is a secret stays', () => {
  const secrets = [FORWARD_SETTINGS, RELAY_SETTINGS]
    .flatMap((table): Setting<unknown>[] => Object.values(table))
    .flatMap(({env}) => (env !== undefined && /TOKEN|SECRET|PASSWORD|LINK|KEY/.test(env) ? [env] : []));
  expect(secrets.length).toBeGreaterThan(2);
  expect(childEnv(Object.fromEntries(secrets.map((name) => [name, 'x'])))).toEqual({});
});
