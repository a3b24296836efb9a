// The README's first command, from the beginning: a clone of HEAD, `npm ci`, `npx tunl expose`, with an old Node first in
// PATH.
import {readFileSync} from 'node:fs';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {Child, run} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

test('git clone, npm ci, npx tunl expose: an address that curl and Chromium load', async ({scope}) => {
  const folder = await scope.tempDir('clone');
  const cloned = await run(scope, 'git', ['clone', '--quiet', projectRoot, `${folder}/tunl`]);
  expect(cloned, cloned.stderr).toMatchObject({code: 0});
  const env = {...machine(), TUNL_STATE_DIR: `${folder}/state`};
  const cwd = `${folder}/tunl`;
  const installed = await run(scope, 'npm', ['ci'], {cwd, env});
  expect(installed, installed.stderr).toMatchObject({code: 0});

  const upstream = await httpUpstream(scope, '<!doctype html><title>from a fresh clone</title>');
  const cli = Child.start(scope, 'npx', ['tunl', 'expose', String(upstream.port)], {
    cwd,
    env,
  });
  const address = await cli.line();
  expect(address).toMatch(/^https:\/\/localhost:\d+$/);
  const [, caFile = ''] = await cli.saidOnStderr(/curl --cacert (\S+) https/);
  const got = await curl(scope, caFile, [`${address}/`]);
  expect(got.stdout).toContain('from a fresh clone');
  const browser = await startBrowser(scope, {caFile});
  const tab = await browser.newPage();
  await tab.goto(address);
  expect(await tab.title()).toBe('from a fresh clone');

  // Ctrl+C reaches npx, its shell and the command. The shell dies; the command ends in order.
  cli.signalGroup('SIGINT');
  await cli.exited;
  expect(cli.stderr).toMatch(/closed after \d+ connections?\n/);
  expect(cli.stdout).toBe(`${address}\n`);

  // The commands of the README run on the pinned Node, not on the machine's.
  const version = await run(scope, 'npx', ['tunl', '--version'], {cwd, env});
  const {devDependencies} = JSON.parse(readFileSync(`${cwd}/package.json`, 'utf8')) as {
    devDependencies: {node: string};
  };
  expect(version.stdout).toContain(`node-v${devDependencies.node}`);
});

/** The machine's own PATH, without the folder of the pinned Node that runs this test. npm's cache and settings are the user's. */
function machine(): Record<string, string> {
  const folders = (process.env.PATH ?? '').split(':').filter((name) => !name.includes('node_modules'));
  return {PATH: folders.join(':'), HOME: process.env.HOME ?? ''};
}
