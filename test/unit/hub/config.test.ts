import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {readHubConfig} from '../../../src/lib/cli/config/hub-config.js';
import type {Setting} from '../../../src/lib/core/settings.js';
import {HUB_SETTINGS, TEMPLATE_SETTINGS} from '../../../src/lib/hub/settings-table.js';
import {Scope} from '../../helpers/scope.js';

async function read(scope: Scope, text: string) {
  const path = join(await scope.tempDir('hub'), 'hub.yaml');
  await writeFile(path, text);
  return await readHubConfig(path, {});
}

test('a file with two templates', async () => {
  await using scope = new Scope();
  const {settings, templates, mistakes} = await read(
    scope,
    `relay: https://r1.example.net
max-sessions: 20
templates:
  notebook:
    program: jupyter
    bin: /opt/jupyter/bin/jupyter-lab
    memory: 1g
    mounts: [/opt/jupyter, "/srv/data:/data:rw"]
    egress: pypi.org:443
    env: [LANG=C.UTF-8]
    idle: 30m
  files:
    command: [python3, -m, http.server, "{port}"]
    port: 8000
    home: ephemeral
`,
  );
  expect(mistakes).toEqual([]);
  expect(settings).toMatchObject({relay: 'https://r1.example.net', mostSessions: 20, name: 'hub'});
  expect(templates.map(({name, title, port}) => [name, title, port])).toEqual([
    ['notebook', 'JupyterLab', 8888],
    ['files', 'python3', 8000],
  ]);
  expect(templates[0]).toMatchObject({
    limits: {memoryBytes: 1024 ** 3},
    mounts: [
      {source: '/opt/jupyter', target: '/opt/jupyter', readOnly: true},
      {source: '/srv/data', target: '/data', readOnly: false},
    ],
    egress: {kind: 'list'},
    env: {LANG: 'C.UTF-8'},
    idleMs: 1_800_000,
    home: 'persistent',
  });
  const site = {
    port: 8000,
    secret: 's',
    url: 'https://n.r1.example.net',
    host: 'n.r1.example.net',
    home: '/home/user',
  };
  expect(templates[1]?.program.plan(site).command).toEqual(['python3', '-m', 'http.server', '8000']);
  const plan = templates[0]?.program.plan(site);
  expect(plan?.command[0]).toBe('/opt/jupyter/bin/jupyter-lab');
  expect(plan?.command).toContain('--ServerApp.local_hostnames=n.r1.example.net');
  // The token is in no argument.
  expect(plan?.env.JUPYTER_TOKEN).toBe('s');
});

test.each([
  [
    'a key that is misspelt',
    'templates:\n  a:\n    program: jupyter\n    memroy: 1g\n',
    4,
    /Did you mean memory\?/,
  ],
  ['a template without a program', 'templates:\n  a:\n    memory: 1g\n', 2, /has no program/],
  ['a template that is a text', 'templates:\n  a: jupyter\n', 2, /settings below it/],
  ['a name that is a path', 'templates:\n  ../a:\n    program: jupyter\n', 2, /cannot be the name/],
  ['a template twice', 'templates:\n  a: {program: jupyter}\n  a: {program: jupyter}\n', 3, /twice/],
  ['a relative mount', 'templates:\n  a:\n    program: jupyter\n    mounts: [data]\n', 2, /is no mount/],
  ['a secret', 'token: abc\ntemplates:\n  a: {program: jupyter}\n', 1, /secret/],
  ['no template', 'max-sessions: 3\n', undefined, /no template/],
  ['an unknown program', 'templates:\n  a: {program: rstudio}\n', 2, /no such program/],
])('%s is told with its line', async (_, text, line, message) => {
  await using scope = new Scope();
  const {mistakes} = await read(scope, text);
  expect(mistakes).toHaveLength(1);
  expect(mistakes[0]?.message).toMatch(message);
  expect(mistakes[0]?.at?.line).toBe(line);
});

test('docs/hub.md has a row for every key, and no other', async () => {
  const page = await readFile(new URL('../../../docs/hub.md', import.meta.url), 'utf8');
  const settings = page.slice(page.indexOf('### Settings'), page.indexOf('## Users'));
  const rows = [...settings.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, key]) => key);
  const keys = [HUB_SETTINGS, TEMPLATE_SETTINGS].flatMap((table) =>
    Object.values<Setting<unknown>>(table).flatMap((row) => row.key ?? row.flag ?? []),
  );
  expect(rows).toEqual(keys);
});
