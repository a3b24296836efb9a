// An upgrade of the package under a running tunnel: files that have not been loaded by then are gone.

import {cp, rm, symlink} from 'node:fs/promises';
import {createServer} from 'node:http2';
import {expect} from 'vitest';
import {projectRoot} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

/** A copy of the built package. */
async function copyOfPackage(scope: Scope): Promise<string> {
  const root = `${await scope.tempDir('package')}/`;
  for (const name of ['bin', 'dist', 'package.json', 'oclif.manifest.json'])
    await cp(projectRoot + name, root + name, {recursive: true});
  await symlink(`${projectRoot}node_modules`, `${root}node_modules`);
  return root;
}

test('the first visitor with HTTP/2 comes after it', async ({scope}) => {
  const root = await copyOfPackage(scope);
  const relay = await startRelayProcess(scope);
  const port = await scope.listen(createServer((_, response) => response.end('in')));
  // With a link or rules a command loads more right after `ready`.
  const {ready} = await relay.expose(port, {root, flags: ['--h2=only', '--forwarded']});
  await rm(`${root}dist/bundle/chunks`, {recursive: true});
  const asked = ['--http2', '--write-out', ' %{http_version}', `${ready.url}/`];
  for (let visit = 0; visit < 2; visit += 1)
    expect(await curl(scope, relay.caFile, asked)).toMatchObject({
      stdout: 'in 2',
      code: 0,
    });
});
