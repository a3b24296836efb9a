// `tunl sandbox …` with real sandboxes of bubblewrap: what people and scripts see.

import {execFileSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {entry, projectRoot, runCli, startCli} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import {caFileOf, detached, filesBelow, inSandbox, tunl} from '../helpers/sandbox-cli.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';
import {curl} from '../helpers/visitors.js';
import {parseEvent} from '../project/event-schema.js';

const HELLO = ['python3', '-m', 'http.server', '--bind', '127.0.0.1', '8080'];

describe('run', () => {
  test('prints the address when it answers, and ends in order with Ctrl+C', async ({scope}) => {
    const cli = await startCli(scope, [
      ...['sandbox', 'run', '--port', '8080', '--memory', '128m', '--name', 'web', '--', ...HELLO],
    ]);
    const address = await cli.line();
    expect(address).toMatch(/^https:\/\/localhost:\d+$/);
    const page = await curl(scope, caFileOf(cli.stateDir), ['-sS', `${address}/`]);
    expect(page).toMatchObject({code: 0, stdout: expect.stringContaining('Directory listing')});
    expect(cli.stderr).toMatch(
      /^sandbox sb_[a-z2-9]{8} \(web\) {2}bubblewrap · limits: memory · no network · stops in 5 min$/m,
    );
    // What the command prints is on stderr, and stdout has the address alone.
    expect(cli.lines).toEqual([address]);
    cli.signal('SIGINT');
    // The signal of the command's own end.
    expect(await cli.exited).toEqual({code: 143, signal: null});
    expect(cli.stderr).toMatch(/sb_[a-z2-9]{8} has ended: it was stopped$/m);
    expect(await tunl(scope, cli.stateDir, 'sandbox', 'ps')).toMatchObject({code: 0, stdout: ''});
  });

  test.for<[string[], number, RegExp]>([
    [['sh', '-c', 'exit 7'], 7, /exited with code 7/],
    [['sh', '-c', 'kill -9 $$'], 137, /ended by SIGKILL/],
    [['true'], 0, /exited with code 0/],
  ])('%j: the exit code is %i', async ([command, code, said], {scope}) => {
    const ended = await runCli(scope, ['sandbox', 'run', '--', ...command]);
    expect(ended).toMatchObject({code, stdout: '', stderr: expect.stringMatching(said)});
  });

  test('Ctrl+C in a terminal reaches tunl alone, and its command has its time', async ({scope}) => {
    const trap = 'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done';
    const cli = await startCli(scope, ['sandbox', 'run', '--', 'sh', '-c', trap]);
    await cli.saidOnStderr(/^up$/m);
    cli.signalGroup('SIGINT');
    expect(await cli.finished()).toMatchObject({code: 3, stderr: expect.stringMatching(/^bye$/m)});
  });

  test('the time of its life', async ({scope}) => {
    const ended = await runCli(scope, ['sandbox', 'run', '--timeout', '1s', '--', 'sleep', '60']);
    expect(ended).toMatchObject({code: 124, stderr: expect.stringContaining('its time had passed')});
  });

  test.for<[string, string[], string]>([
    ['a command that does not exist', ['--', '/no/such'], 'SANDBOX_COMMAND'],
    ['no command', [], 'USAGE'],
    ['an image with bubblewrap', ['--backend', 'bubblewrap', '--image', 'x', '--', 'true'], 'OPTION_INVALID'],
    ['a rule that cannot be read', ['--egress', 'example.com', '--', 'true'], 'EGRESS_INVALID'],
    ['a mount without a target', ['--mount', '/tmp', '--', 'true'], 'OPTION_INVALID'],
    ['a folder that does not exist', ['--mount', '/no/such:/x', '--', 'true'], 'FOLDER_MISSING'],
    ['a variable without a name', ['--env', '=x', '--', 'true'], 'OPTION_INVALID'],
    ['a name like an ID', ['--name', 'sb_abcdefgh', '--', 'true'], 'OPTION_INVALID'],
  ])('%s: %s → %s', async ([, words, code], {scope}) => {
    for (const more of [[], ['--detach']]) {
      const ended = await runCli(scope, ['sandbox', 'run', '--json', ...more, ...words]);
      expect(ended.cli.error).toMatchObject({code});
      expect(ended.code).toBe(ended.cli.error?.exitCode);
    }
  });

  test('an owner that ends in the middle of its start has its say', async ({scope}) => {
    const words = ['--detach', '--backend', 'bubblewrap', '--image', 'x', '--', 'true'];
    // One after the other: what comes first, its end or its word, depends on the moment.
    for (let n = 0; n < 10; n += 1)
      expect(await runCli(scope, ['sandbox', 'run', '--json', ...words])).toMatchObject({code: 2});
  });

  test('one that could not be started: `ps --all` says why', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    for (const more of [[], ['--detach']])
      await runCli(scope, ['sandbox', 'run', ...more, '--', '/no/such'], {stateDir});
    const listed = await tunl(scope, stateDir, 'sandbox', 'ps', '--all', '--json');
    const ends = listed.stdout.trim().split('\n').map(parseEvent);
    const end = {reason: 'failed', error: 'SANDBOX_COMMAND', detail: expect.stringContaining('/no/such')};
    expect(ends).toMatchObject([{end}, {end}]);
    const told = await tunl(scope, stateDir, 'sandbox', 'ps', '--all');
    expect(told.stderr).toContain('it could not be started (/no/such cannot be run');
  });

  test('--json: events that docs/json-events.md has', async ({scope}) => {
    const cli = await startCli(scope, ['sandbox', 'run', '--json', '--port', '8080', '--', ...HELLO]);
    await cli.event('port');
    cli.signal('SIGTERM');
    await cli.exited;
    const events = cli.lines.map(parseEvent);
    expect(events.map(({type}) => type)).toEqual(['started', 'port', 'finished']);
    expect(events.at(-1)).toMatchObject({reason: 'terminated', signal: 'SIGTERM'});
  });
});

describe('a detached sandbox', () => {
  test('from its start to what is left of it', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const secrets = join(stateDir, 'secrets.env');
    await writeFile(secrets, '# a comment\nFILED=planted-in-a-file\n');
    const {id, stdout} = await detached(
      scope,
      stateDir,
      [
        ...['--name', 'box', '--port', '8080', '--env', 'GIVEN=planted-as-a-flag', '--env', 'OWN'],
        ...[
          '--env-file',
          secrets,
          '--',
          'sh',
          '-c',
          'echo to stdout; echo to stderr >&2; exec "$@"',
          'sh',
          ...HELLO,
        ],
      ],
      {OWN: 'planted-in-the-shell'},
    );
    const [address = ''] = stdout.trim().split('\n');
    expect((await curl(scope, caFileOf(stateDir), ['-sS', address])).stdout).toContain('Directory listing');

    const env = await inSandbox(scope, stateDir, 'box', 'env');
    expect(env.stdout.split('\n')).toEqual(
      expect.arrayContaining([
        'GIVEN=planted-as-a-flag',
        'FILED=planted-in-a-file',
        'OWN=planted-in-the-shell',
      ]),
    );
    // Nobody else sees a value: not in the arguments of any process, not in the files of the state folder.
    const lines = execFileSync('ps', ['-e', '-o', 'args='], {encoding: 'utf8'});
    expect(lines).not.toContain('planted-');
    expect(await filesBelow(stateDir, 'secrets.env')).not.toContain('planted-');

    const listed = await tunl(scope, stateDir, 'sandbox', 'ps', '--json');
    const event = parseEvent(listed.stdout.trim());
    expect(event).toMatchObject({id, name: 'box', state: 'ready', ports: [{port: 8080, address}]});
    expect((await tunl(scope, stateDir, 'sandbox', 'ps')).stdout).toMatch(
      new RegExp(`^${id}  ready     \\S+min +box       ${address}  sh -c`),
    );

    const logs = await tunl(scope, stateDir, 'sandbox', 'logs', id.slice(0, 6));
    expect(logs).toMatchObject({code: 0, stdout: 'to stdout\n'});
    expect(logs.stderr).toContain('to stderr\n');

    const longer = await tunl(scope, stateDir, 'sandbox', 'extend', '--json', 'box', '1h');
    const stopsAt = Date.parse((parseEvent(longer.stdout.trim()) as {stopsAt: string}).stopsAt);
    expect(stopsAt).toBeGreaterThan(Date.now() + 3_600_000);

    const twice = await runCli(
      scope,
      ['sandbox', 'run', '--json', '--detach', '--name', 'box', '--', 'true'],
      {stateDir},
    );
    expect(twice.cli.error).toMatchObject({code: 'SANDBOX_NAME_USED'});

    const stopped = await tunl(scope, stateDir, 'sandbox', 'stop', 'box');
    expect(stopped).toMatchObject({code: 0, stderr: `${id} has ended: it was stopped\n`});
    expect((await tunl(scope, stateDir, 'sandbox', 'ps')).stdout).toBe('');
    const after = await tunl(scope, stateDir, 'sandbox', 'ps', '--all', '--json');
    expect(parseEvent(after.stdout.trim())).toMatchObject({id, state: 'ended', end: {reason: 'terminated'}});
    expect((await tunl(scope, stateDir, 'sandbox', 'logs', 'box')).stdout).toBe('to stdout\n');
    const late = await runCli(scope, ['sandbox', 'exec', '--json', 'box', '--', 'true'], {stateDir});
    expect(late).toMatchObject({code: 5});
    expect(late.cli.error).toMatchObject({
      code: 'SANDBOX_ENDED',
      message: expect.stringContaining('terminated'),
    });
  });

  test('what nobody has started', async ({scope}) => {
    for (const words of [
      ['exec', 'nothing', '--', 'true'],
      ['logs', 'nothing'],
      ['stop', 'nothing'],
    ]) {
      const ended = await runCli(scope, ['sandbox', ...words]);
      expect(ended).toMatchObject({code: 2, stderr: expect.stringContaining('code: SANDBOX_UNKNOWN')});
    }
  });
});

describe('exec', () => {
  test('streams apart, stdin, exit codes, signals, time', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const {id, stdout} = await detached(scope, stateDir, ['--name', 'box', '--', 'sleep', '600']);
    expect(stdout).toBe(`${id}\n`);
    const inBox = (...words: string[]) => inSandbox(scope, stateDir, 'box', ...words);
    expect(await inBox('sh', '-c', 'echo out; echo err >&2; exit 3')).toMatchObject({
      ...{code: 3, stdout: 'out\n', stderr: 'err\n'},
    });
    expect(await inBox('sh', '-c', 'kill -TERM $$')).toMatchObject({code: 143});
    expect(await inBox('no-such-program')).toMatchObject({
      ...{code: 8, stderr: expect.stringContaining('code: SANDBOX_COMMAND')},
    });
    // Help is asked of the program, unless it comes before it.
    const help = (...words: string[]) => tunl(scope, stateDir, 'sandbox', 'exec', 'box', ...words);
    expect(await help('ls', '--help')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Usage: .*ls/),
    });
    expect(await help('sh', '-c', 'echo "$1"; exit 4', 'sh', '-h')).toMatchObject({code: 4, stdout: '-h\n'});
    expect(await help('--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('tunl sandbox exec'),
    });
    expect(
      await tunl(scope, stateDir, 'sandbox', 'exec', '--timeout', '200ms', 'box', 'sleep', '60'),
    ).toMatchObject({
      code: 124,
    });
    expect(
      await tunl(
        scope,
        stateDir,
        'sandbox',
        'exec',
        '--workdir',
        '/usr',
        '--env',
        'A=b c',
        'box',
        'sh',
        '-c',
        'pwd; echo "$A"',
      ),
    ).toMatchObject({
      ...{code: 0, stdout: '/usr\nb c\n'},
    });
    // Without -i the command has no input; with it, all of it and its end.
    expect(await inBox('cat')).toMatchObject({code: 0, stdout: ''});
    const cat = await startCli(scope, ['sandbox', 'exec', '-i', 'box', 'cat'], {stateDir, stdin: true});
    cat.stdin.end('x'.repeat(1_000_000));
    expect((await cat.finished()).stdout.length).toBe(1_000_000);
    const json = await runCli(
      scope,
      ['sandbox', 'exec', '--json', 'box', '--', 'sh', '-c', 'echo é; exit 2'],
      {stateDir},
    );
    expect(json.cli.lines.map(parseEvent)).toMatchObject([
      {type: 'output', from: 'stdout', text: 'é\n'},
      {type: 'exit', code: 2, exitCode: 2},
    ]);
    const term = await startCli(
      scope,
      [
        'sandbox',
        'exec',
        'box',
        '--',
        'sh',
        '-c',
        'trap "echo got it; exit 9" TERM; echo up; while :; do sleep 0.05; done',
      ],
      {stateDir},
    );
    await term.line();
    term.signal('SIGTERM');
    expect(await term.finished()).toMatchObject({code: 9, stdout: 'up\ngot it\n'});
    const head = execFileSync('sh', ['-c', `node ${entry} sandbox exec box -- yes | head -1`], {
      ...{encoding: 'utf8', env: {...process.env, TUNL_STATE_DIR: stateDir}},
    });
    expect(head).toBe('y\n');
  });

  test('a folder through tar, both ways', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    await detached(scope, stateDir, ['--name', 'box', '--', 'sleep', '600']);
    const folder = await scope.tempDir('files');
    await mkdir(join(folder, 'in/deep'), {recursive: true});
    await writeFile(join(folder, 'in/deep/a.bin'), Buffer.alloc(3_000_000, 7));
    const exec = `node ${entry} sandbox exec`;
    const script = `tar -c in | ${exec} -i box -- tar -x -C /tmp && mkdir out && ${exec} box tar -c -C /tmp in | tar -x -C out && diff -r in out/in`;
    execFileSync('sh', ['-ec', script], {cwd: folder, env: {...process.env, TUNL_STATE_DIR: stateDir}});
  });

  test('-it in a terminal: size, keys, Ctrl+C, exit code, and the terminal afterwards', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    await detached(scope, stateDir, ['--name', 'box', '--', 'sleep', '600']);
    const screen = await Screen.start(scope, {
      columns: 90,
      rows: 20,
      env: {TUNL_STATE_DIR: stateDir, HOME: stateDir},
    });
    await screen.run(`node ${entry} sandbox exec -it box -- bash --norc`);
    await screen.shows(/^bash-[\d.]+\$$/);
    await screen.run('stty size; tty');
    await screen.shows(/^20 90$/);
    await screen.shows(/^\/dev\/pts\/\d+$/);
    await screen.resize(70, 18);
    await screen.run('stty size');
    await screen.shows(/^18 70$/);
    await screen.run('sleep 600');
    await screen.press('C-c');
    await screen.run('echo code $?');
    await screen.shows(/^code 130$/);
    await screen.run('exit 5');
    await screen.until((lines) => lines.at(-1) === '$');
    await screen.run('echo mine $?');
    await screen.shows(/^mine 5$/);
    await screen.run("stty -a | tr ' ;' '\\n' | grep -cx -e icanon -e echo -e isig");
    await screen.shows(/^3$/);
    // A pipe is no terminal.
    const refused = await startCli(scope, ['sandbox', 'exec', '-it', 'box', 'true'], {stateDir, stdin: true});
    expect(await refused.finished()).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('stdin is none'),
    });
  });
});

describe('cp', () => {
  test('files, folders, stdin and stdout', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    await detached(scope, stateDir, ['--name', 'box', '--', 'sleep', '600']);
    const folder = await scope.tempDir('files');
    const at = (...names: string[]) => join(folder, ...names);
    await mkdir(at('tree/deep'), {recursive: true});
    await mkdir(at('tree/empty'));
    await writeFile(at('tree/run.sh'), '#!/bin/sh\necho ran\n', {mode: 0o755});
    await writeFile(at('tree/deep/big'), Buffer.alloc(2_000_000, 3));
    await symlink('/etc/passwd', at('tree/link'));
    const cp = (from: string, to: string, options = {}) =>
      runCli(scope, ['sandbox', 'cp', from, to], {stateDir, cwd: folder, ...options});
    const into = await cp('tree', 'box:/tmp/tree');
    expect(into).toMatchObject({code: 0, stderr: expect.stringContaining('tree/link is left out')});
    expect(into.stderr).toContain('2 files');
    expect((await inSandbox(scope, stateDir, 'box', '/tmp/tree/run.sh')).stdout).toBe('ran\n');
    // A folder that exists gets it under its own name.
    await cp('tree/run.sh', 'box:/tmp/');
    expect((await inSandbox(scope, stateDir, 'box', 'ls', '/tmp')).stdout).toBe('run.sh\ntree\n');
    expect(await cp('box:/tmp/tree', '.')).toMatchObject({code: 0});
    expect(await cp('box:/tmp/tree', 'back')).toMatchObject({code: 0});
    expect(await readFile(at('back/deep/big'))).toEqual(Buffer.alloc(2_000_000, 3));
    expect(existsSync(at('back/empty'))).toBe(true);
    const out = await cp('box:/tmp/run.sh', '-');
    expect(out.stdout).toBe('#!/bin/sh\necho ran\n');
    const events = await runCli(scope, ['sandbox', 'cp', '--json', 'box:/tmp/run.sh', '-'], {stateDir});
    expect(events).toMatchObject({code: 2, cli: {error: {code: 'USAGE'}}});
    const stdin = await startCli(scope, ['sandbox', 'cp', '-', 'box:/tmp/new'], {stateDir, stdin: true});
    stdin.stdin.end('piped');
    expect(await stdin.finished()).toMatchObject({code: 0});
    expect((await inSandbox(scope, stateDir, 'box', 'cat', '/tmp/new')).stdout).toBe('piped');
    // A sandbox that lies about its files leads nowhere else.
    await inSandbox(scope, stateDir, 'box', 'ln', '-s', '/etc', '/tmp/tree/out');
    expect(await cp('box:/tmp/tree', 'linked')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('/tmp/tree/out is left out'),
    });
    for (const [from, to, code] of [
      ['box:/no/such', '.', 'SANDBOX_FILE'],
      ['no-such', 'box:/tmp/x', 'FILE_UNREADABLE'],
      ['tree', 'other', 'USAGE'],
      ['box:/a', 'box:/b', 'USAGE'],
    ] as const)
      expect((await cp(from, to)).stderr).toContain(`code: ${code}`);
    // The sandbox refuses it while the source goes on.
    await writeFile(at('huge'), Buffer.alloc(20_000_000));
    const piped = await startCli(scope, ['sandbox', 'cp', '-', 'box:/usr/x'], {stateDir, stdin: true});
    piped.stdin.on('error', () => {}).write('begun');
    for (const {stderr} of [await cp('huge', 'box:/usr/x'), await piped.finished()]) {
      expect(stderr).toContain('(EROFS)');
      expect(stderr).toContain('code: SANDBOX_FILE');
    }
  });
});

test('a program starts one that outlives it, and another program finds it', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const script = (code: string) =>
    execFileSync(
      process.execPath,
      ['--input-type=module', '-e', `import {Sandbox} from '${projectRoot}dist/index.js';${code}`],
      {
        ...{encoding: 'utf8', env: {...process.env, TUNL_STATE_DIR: stateDir}},
      },
    );
  const id = script(
    "const box = await Sandbox.create(['sleep', '600'], {detach: true, name: 'box', env: {A: 'b'}}); console.log(box.id);",
  ).trim();
  // No program has to say that it is done: what it does not wait for does not keep it alive.
  const said = script(`
    const [listed] = await Sandbox.list();
    const box = await Sandbox.fromId('box');
    await box.fs.write('x', 'content');
    const p = await box.exec(['sh', '-c', 'echo $A; cat x']);
    console.log(listed.id, await box.poll(), (await p.stdout.text()).trim(), (await p.wait()).code);
  `);
  expect(said).toBe(`${id} null b\ncontent 0\n`);
  const refused = script(
    "await Sandbox.create(['true'], {detach: true, name: 'box'}).catch(({code}) => console.log(code)); await (await Sandbox.fromId('box')).terminate();",
  );
  expect(refused).toBe('SANDBOX_NAME_USED\n');
  expect(
    script("console.log(await Sandbox.list(), await Sandbox.fromId('box').catch(({code}) => code));"),
  ).toBe('[] SANDBOX_ENDED\n');
});

test('doctor says what is real here, and how to mend it', async ({scope}) => {
  const json = await runCli(scope, ['sandbox', 'doctor', '--json']);
  const reports = json.cli.lines.map(parseEvent);
  expect(reports.map((each) => 'name' in each && each.name)).toEqual(['bubblewrap', 'podman', 'docker']);
  expect(reports[0]).toMatchObject({available: true, version: expect.stringMatching(/^bubblewrap \d/)});
  const plain = await runCli(scope, ['sandbox', 'doctor']);
  expect(plain.stdout).toMatch(/^bubblewrap {2}bubblewrap \d/);
  expect(plain.stderr).toMatch(/memory +(holds|not possible|for each)/);
});

test('addresses of another relay, with a token that nothing shows', async ({scope}) => {
  const token = 'planted-token-0123456789';
  const relay = await startRelayProcess(scope, {token});
  const stateDir = await scope.tempDir('state');
  const {stdout} = await detached(
    ...([
      scope,
      stateDir,
      ['--name', 'box', '--private', '--port', '8080', '--', ...HELLO],
      {...relay.env, TUNL_TOKEN: token},
    ] as const),
  );
  const [address = ''] = stdout.trim().split('\n');
  const link = new URL(address).searchParams.get('tunl') ?? '';
  expect(link).not.toBe('');
  const {stdout: rows} = await tunl(scope, stateDir, 'sandbox', 'ps');
  const files = await filesBelow(stateDir);
  const args = execFileSync('ps', ['-e', '-o', 'args='], {encoding: 'utf8'});
  for (const text of [rows, files, args]) {
    expect(text).not.toContain(token);
    expect(text).not.toContain(link);
  }
});
