// Dask on the members of a cluster: a client computes over the workers, and its dashboard is behind a public address.

import {fileURLToPath} from 'node:url';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {eventsOf, startCluster, USERS} from '../helpers/cluster.js';
import {installed} from '../helpers/launching.js';
import {test} from '../helpers/test.js';

const DASK = fileURLToPath(new URL('../helpers/dask.sh', import.meta.url));
const [first = 'user'] = USERS;
/** Of the squares below 200. */
const SUM = 2_646_700;

test('a sum over two workers, and the dashboard in a browser', async ({scope}) => {
  const cwd = await scope.tempDir('dask');
  const stateDir = await scope.tempDir('state');
  const command = ['sh', DASK, installed.dask, '{rank}', '{master}'];
  const cluster = await startCluster(
    scope,
    first,
    ['run', '--size', '3', '--isolated', '--json', '--expose', '0:8787', '--', ...command],
    {cwd, env: {TUNL_STATE_DIR: stateDir}},
  );
  await cluster.saidOnStderr(new RegExp(`sum ${SUM} by 2 workers`));
  await cluster.line((line) => line.includes('"cluster-exposed"'));
  const event = eventsOf(cluster.lines).find((each) => each.type === 'cluster-exposed');

  const browser = await startBrowser(scope, {caFile: `${stateDir}/ca/tunl-ca.pem`});
  const page = await browser.newPage();
  await page.goto(`${event?.address}/status`);
  expect(await page.title()).toContain('Dask');
  await page.getByRole('link', {name: 'Workers', exact: true}).waitFor();
  // This title, and the plots, come over a WebSocket.
  await page.waitForFunction("document.title === 'Dask: Status'");
  await page.locator('.bk-Figure').first().waitFor();
  await page.goto(`${event?.address}/info/main/workers.html`);
  await page.getByText('tcp://[').nth(1).waitFor();

  cluster.signal('SIGINT');
  expect((await cluster.finished()).code).toBe(130);
});
