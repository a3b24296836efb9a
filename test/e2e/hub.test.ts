// A hub with real sandboxes, by its commands: sessions for requests at once, what users reach of each other, and a hub that is
// killed.

import {readdirSync, realpathSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {runCli, startCli} from '../helpers/cli.js';
import {openInEditor, signInToEditor, typeInTerminal} from '../helpers/editor.js';
import {openHub} from '../helpers/hub.js';
import {installed} from '../helpers/launching.js';
import {runExample} from '../helpers/page-example.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';
import {parseEvent} from '../project/event-schema.js';

test('a POST leads to a session of its own; users reach nothing of each other', async ({scope}) => {
  const {addUser, ask, session, caFile, hub, stateDir} = await openHub(scope);
  const [ana, ben] = [await addUser('ana', 2), await addUser('ben')];
  const first = await ask(ana, '/', ['-d', '']);
  expect(first.status).toBe(303);
  expect((await curl(scope, caFile, [first.location])).stdout).toContain('Directory listing');
  const other = await session(ben);
  expect(other.url).not.toBe(first.location);
  // The file of one session is in no other.
  const {stdout} = await hub(['ps', '--json']);
  const [own] = stdout.split('\n').filter((line) => line.includes('"ana"'));
  const {id = '', sandbox = ''} = JSON.parse(own ?? '{}') as {id?: string; sandbox?: string};
  const inside = ['sandbox', 'exec', sandbox, '--', 'sh', '-c'];
  const wrote = await runCli(scope, [...inside, 'echo secret > note && ls'], {stateDir});
  expect(wrote).toMatchObject({code: 0, stdout: expect.stringContaining('note')});
  expect((await curl(scope, caFile, [`${first.location}note`])).stdout).toBe('secret\n');
  expect((await curl(scope, caFile, [other.url ?? ''])).stdout).not.toContain('note');
  expect((await ask(ben, '/v1/sessions')).body).not.toContain(sandbox);
  const logs = await startCli(scope, ['hub', 'logs', '-f', '--json', id], {stateDir});
  expect(await logs.event('hub-output', ({text}) => text.includes('GET /note'))).toMatchObject({id});
  expect(logs.lines.map((line) => parseEvent(line).type)).not.toContain('error');
  // Two are her quota.
  await session(ana);
  expect((await ask(ana, '/', ['-d', ''])).status).toBe(429);
  expect((await ask('wrong', '/', ['-d', ''])).status).toBe(401);
});

test('a hub that is killed loses nothing, and the next one takes over', async ({scope}) => {
  const {cli, start, addUser, ask, session, caFile, hub} = await openHub(scope);
  const ana = await addUser('ana');
  const [kept, stopped] = await Promise.all([
    session(ana, ['-d', '{"name":"kept"}']),
    session(ana, ['-d', '{"name":"stopped"}']),
  ]);
  await hub(['stop', stopped.id]);
  cli.signal('SIGKILL');
  await cli.exited;
  expect((await curl(scope, caFile, [kept.url ?? ''])).stdout).toContain('Directory listing');
  expect(await hub(['ps'])).toMatchObject({code: 5, stderr: expect.stringContaining('HUB_AWAY')});
  const {event} = await start();
  expect(event.sessions).toBe(1);
  // The same name is the same session.
  expect(await session(ana, ['-d', '{"name":"kept"}'])).toMatchObject({id: kept.id, url: kept.url});
  const {stdout} = await hub(['ps', '--all']);
  expect(stdout).toMatch(new RegExp(`^${kept.id} +ana +files/kept +ready `, 'm'));
  expect(stdout).toMatch(new RegExp(`^${stopped.id} +ana +files/stopped +stopped +asked`, 'm'));
  expect((await ask(ana, `/v1/sessions/${kept.id}`, ['-X', 'DELETE'])).status).toBe(200);
});

test('a stop ends the sandbox of an owner that stands still', async ({scope}) => {
  const {addUser, session, hub, stateDir} = await openHub(scope);
  const {id, sandboxId = ''} = await session(await addUser('ana'));
  const journal = await readFile(join(stateDir, 'sandboxes', sandboxId, 'sandbox.json'), 'utf8');
  const {pid} = (JSON.parse(journal) as {owner: {pid: number}}).owner;
  process.kill(pid, 'SIGSTOP');
  scope.onEnd(() => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // The stop has ended it.
    }
  });
  expect(await hub(['stop', id])).toMatchObject({code: 0, stdout: expect.stringContaining('stopped')});
  expect((await runCli(scope, ['sandbox', 'ps'], {stateDir})).stdout).toBe('');
});

test('without a relay in its file, a hub uses the current login', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('hub');
  const config = join(stateDir, 'hub.yaml');
  await writeFile(config, 'templates:\n  files: {command: [python3, -m, http.server]}\n');
  const start = ['hub', 'start', '--config', config, '--json'];
  expect(await runCli(scope, start, {stateDir})).toMatchObject({
    code: 2,
    stdout: expect.stringContaining('The hub needs a relay'),
  });
  const login = ['login', relay.url, '--token-file', relay.tokenFile, '--ca-file', relay.caFile];
  expect(await runCli(scope, login, {stateDir})).toMatchObject({code: 0});
  const {url} = await (await startCli(scope, start, {stateDir})).event('hub');
  expect(new URL(url).host).toBe(`hub.${new URL(relay.url).host}`);
});

test('of hubs that start at the same moment one gets the state folder', async ({scope}) => {
  const {cli, start, hub} = await openHub(scope);
  await cli.stop();
  const all = await Promise.allSettled([start(), start(), start()]);
  const [one, ...more] = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  expect(more).toEqual([]);
  const refusals = all.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []));
  expect(refusals).toHaveLength(2);
  for (const refusal of refusals) expect(refusal).toContain('HUB_RUNS');
  expect(await hub(['ps'])).toMatchObject({code: 0});
  expect(one?.cli.lines).toHaveLength(1);
});

test('a session starts again at its address, and the files of a user go when they are forgotten', async ({
  scope,
}) => {
  const {addUser, session, caFile, hub, stateDir} = await openHub(scope);
  const before = await session(await addUser('ana'), ['-d', '{"name":"kept"}']);
  const inside = async (sandbox: string | undefined, script: string) =>
    (await runCli(scope, ['sandbox', 'exec', sandbox ?? '', '--', 'sh', '-c', script], {stateDir})).stdout;
  await inside(before.sandboxId, 'echo words > note; mkdir -p deep/er; ln -s /etc/passwd deep/er/link');
  const restarted = await hub(['restart', before.id, '--json']);
  const after = JSON.parse(restarted.stdout) as {state: string; sandbox: string};
  expect(after).toMatchObject({id: before.id, state: 'ready'});
  expect(after.sandbox).not.toBe(before.sandboxId);
  expect((await curl(scope, caFile, [`${before.url}/note`])).stdout).toBe('words\n');
  const homes = join(stateDir, 'hub/homes');
  expect(readdirSync(homes)).toHaveLength(1);
  expect(await hub(['user', 'remove', 'ana', '--forget-home'])).toMatchObject({code: 0});
  expect(readdirSync(homes)).toEqual([]);
  expect((await hub(['ps'])).stdout).toBe('');
  // Those of a user who was removed before, while no hub runs.
  await session(await addUser('ben'));
  await hub(['user', 'remove', 'ben']);
  expect(readdirSync(homes)).toHaveLength(1);
  expect(await hub(['user', 'forget', 'ben'])).toMatchObject({code: 0});
  expect(readdirSync(homes)).toEqual([]);
  expect((await runCli(scope, ['sandbox', 'ps'], {stateDir})).stdout).toBe('');
});

test('a program that ends at once is told with its last lines; nothing stays', async ({scope}) => {
  const {addUser, ask, hub, stateDir} = await openHub(
    scope,
    '\n  broken:\n    command: [python3, -m, no_such_module_here]\n  gone: {command: [no-such-program]}\n',
  );
  const ana = await addUser('ana');
  const broken = await ask(ana, '/v1/sessions', ['-d', '{"template":"broken"}']);
  expect(broken.status).toBe(502);
  expect(broken.body).toContain('No module named no_such_module_here');
  const gone = await ask(ana, '/v1/sessions', ['-d', '{"template":"gone"}']);
  expect(gone.status).toBe(502);
  expect(gone.body).toContain('no-such-program');
  expect((await runCli(scope, ['sandbox', 'ps'], {stateDir})).stdout).toBe('');
  expect((await hub(['ps'])).stdout).toBe('');
});

test('JupyterLab in a session: a cell runs, and its kernel outlives the hub', async ({scope}) => {
  const bin = realpathSync(installed.jupyterLab);
  const environment = dirname(dirname(bin));
  const python = dirname(dirname(realpathSync(join(environment, 'bin/python3'))));
  const mounts = [environment, ...(python === '/usr' ? [] : [python])];
  const {cli, start, addUser, session, caFile} = await openHub(
    scope,
    `\n  notebook: {program: jupyter, bin: ${bin}, mounts: [${mounts.join(', ')}], ready-timeout: 100s}\n`,
  );
  const ana = await addUser('ana');
  const ready = await session(ana);
  expect(ready).toMatchObject({state: 'ready'});
  const {url = ''} = ready;
  const browser = await startBrowser(scope, {caFile});
  const tab = await browser.newPage();
  await tab.goto(url);
  await tab.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
  const idle = tab.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]');
  const run = async (code: string, output: string) => {
    const cell = tab.locator('.jp-Notebook .cm-content').last();
    await cell.click();
    await tab.keyboard.type(code);
    await idle.waitFor();
    await tab.keyboard.press('Shift+Enter');
    await tab.locator('.jp-OutputArea-output', {hasText: output}).waitFor();
  };
  await run('kept = 6 * 7; print("first", kept)', 'first 42');
  cli.signal('SIGKILL');
  await cli.exited;
  await start();
  await run('print("again", kept)', 'again 42');
});

test('code-server in a session: an editor behind its password, and a terminal that works', async ({
  scope,
}) => {
  const folder = realpathSync(join(dirname(installed.codeServer), '../..'));
  const bin = join(folder, 'node_modules/.bin/code-server');
  const {addUser, session, caFile, hub, stateDir} = await openHub(
    scope,
    `
  editor:
    program: code-server
    bin: ${bin}
    mounts: ["${folder}"]
    # Its native parts were built for the Node of the tests.
    env: ["PATH=/opt/tunl/bin:/usr/bin:/bin"]
    args: [--disable-workspace-trust]
    ready-timeout: 100s
`,
  );
  const ready = await session(await addUser('ana'));
  expect(ready).toMatchObject({state: 'ready'});
  const {url = '', login} = ready;
  const {sandbox} = JSON.parse((await hub(['ps', '--json'])).stdout) as {sandbox: string};
  const inside = async (script: string) =>
    (await runCli(scope, ['sandbox', 'exec', sandbox, '--', 'sh', '-c', script], {stateDir})).stdout;
  await inside('echo words in a file > hello.txt');
  const tab = await (await startBrowser(scope, {caFile})).newPage();
  await tab.goto(url);
  await signInToEditor(tab, login?.password ?? '');
  await openInEditor(tab, 'hello.txt', 'words in a file');
  await typeInTerminal(tab, 'echo "typed $((6 * 7))" > answer.txt');
  await expect.poll(() => inside('cat answer.txt'), {timeout: 30_000}).toBe('typed 42\n');
});

test('the example of docs/hub.md runs as it is', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  // The system knows no names below localhost.
  const resolves = `import dns from 'node:dns';
    const {lookup} = dns;
    dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);\n`;
  const ended = await runExample(scope, 'hub.md', {
    change: (code) => resolves + code.replace('https://r1.example.net', relay.url),
    env: {...relay.env, NODE_EXTRA_CA_CERTS: relay.caFile},
  });
  expect(ended).toMatchObject({code: 0, stderr: '', stdout: '201 200\nana files ready\n'});
});
