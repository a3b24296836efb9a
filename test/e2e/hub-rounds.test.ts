// Sessions of a hub that start and stop all the time: nothing stays behind, and the hub does not grow.

import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {openHub} from '../helpers/hub.js';
import {until} from '../helpers/launching.js';
import {groupsOf, mountsOf, processes} from '../helpers/leftovers.js';
import {test} from '../helpers/test.js';

/** TUNL_LONG=1: 500 rounds. */
const ROUNDS = Number(process.env.TUNL_RUNS ?? (process.env.TUNL_LONG === '1' ? 500 : 8));
const AT_ONCE = 4;

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

/** With control groups, where this machine has some, and a sealed network. */
const SEALED = `
  files:
    command: [python3, -m, http.server, --bind, 127.0.0.1, "{port}"]
    port: 8000
    memory: 256m
    egress: example.com:443
    best-effort: true
`;

test(`${ROUNDS} sessions that start and stop: nothing stays behind`, async ({scope}) => {
  const {cli, addUser, session, ask, stateDir} = await openHub(scope, SEALED);
  const token = await addUser('ana', AT_ONCE);
  const ids = new Set<string>();
  const round = async () => {
    const ready = await session(token);
    expect(ready).toMatchObject({state: 'ready'});
    ids.add(ready.sandboxId ?? '');
    expect((await ask(token, `/v1/sessions/${ready.id}`, ['-X', 'DELETE'])).status).toBe(200);
  };
  const {pid} = cli;
  await round();
  const before = {descriptors: descriptors(pid), bytes: cli.rssBytes()};
  let left = ROUNDS - 1;
  const many = async () => {
    while (left-- > 0) await round();
  };
  await Promise.all(Array.from({length: AT_ONCE}, many));
  expect(ids.size).toBe(ROUNDS);
  const others = () => processes().filter((each) => each.pid !== pid && each.args.includes(stateDir));
  await until(() => others().length === 0);
  expect(groupsOf(...ids)).toEqual([]);
  expect(mountsOf(...ids)).toEqual([]);
  const sandboxes = readdirSync(join(stateDir, 'sandboxes'));
  // Each start leaves the newest hundred of those that ended.
  expect(sandboxes.length).toBeLessThanOrEqual(100 + AT_ONCE);
  const files = readdirSync(join(stateDir, 'sandboxes'), {recursive: true}).map(String);
  expect(files.filter((name) => /\.sock$|[/]work/.test(name))).toEqual([]);
  expect(readdirSync(join(stateDir, 'hub/run')).sort()).toEqual(['operator.sock', `${pid}.sock`].sort());
  // Connections of the tunnel and of the last callers come and go.
  await until(() => descriptors(pid) <= before.descriptors + 8);
  // A leak of a record or a few buffers for each round shows in the long form.
  if (ROUNDS >= 500) expect(cli.rssBytes() - before.bytes).toBeLessThan(64 * 1024 * 1024);
}, 1_800_000);
