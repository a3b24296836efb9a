// Real programs whose traffic leaves by an egress, as root and as an ordinary user: the servers outside see its address alone,
// and a database admits it and no other.

import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {createReadStream, realpathSync} from 'node:fs';
import {chmod, cp, mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {createAuthority} from '../helpers/certificates.js';
import {Child, run} from '../helpers/child.js';
import {entry} from '../helpers/cli.js';
import {installed} from '../helpers/launching.js';
import {twoHosts} from '../helpers/net-ns.js';
import {type Postgres, postgresProgram, startPostgres} from '../helpers/postgres.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';

/** TUNL_LONG=1: a dump of 200 MB. */
const DUMP_MB = process.env.TUNL_LONG === '1' ? 200 : 24;
const OUTSIDE = '203.0.113.80';
/** The addresses of the relay's machine: the first one is admitted by the database. */
const [ONE, TWO] = ['203.0.113.1', '203.0.113.2'];
const NAMES = ['web.example', 'db.example', 'registry.example', 'files.example'] as const;
const NPM = dirname(dirname(realpathSync(execFileSync('which', ['npm'], {encoding: 'utf8'}).trim())));
const helper = (name: string) => fileURLToPath(new URL(`../helpers/${name}`, import.meta.url));
const page = (name: string) => fileURLToPath(new URL(`first-address/${name}`, import.meta.url));

const scope = new Scope();
let files: string;
let namespace: string;
let relay: RelayProcess;
let postgres: Postgres;
let web: Child;
let registry: Child;

beforeAll(async () => {
  files = await scope.tempDir('egress-programs');
  await chmod(files, 0o755);
  const file = async (name: string, text: string) => {
    const path = join(files, name);
    await writeFile(path, text, {mode: 0o644});
    return path;
  };
  const {one: machine, two: outside} = await twoHosts(scope);
  namespace = machine.namespace;
  const deviceOf = async ({run: on}: typeof machine) =>
    /^\d+: ([^@:]+)/.exec(await on('ip', '-o', 'link', 'show', 'type', 'veth'))?.[1] ?? '';
  for (const address of [ONE, TWO])
    await machine.run('ip', 'address', 'add', `${address}/32`, 'dev', await deviceOf(machine));
  await outside.run('ip', 'address', 'add', `${OUTSIDE}/32`, 'dev', await deviceOf(outside));
  await machine.run('ip', 'route', 'add', OUTSIDE, 'via', outside.address);
  for (const address of [ONE, TWO]) await outside.run('ip', 'route', 'add', address, 'via', machine.address);
  const hosts = ['127.0.0.1 localhost', ...NAMES.map((name) => `${OUTSIDE} ${name}`), ''];
  await writeFile(`/etc/netns/${namespace}/hosts`, hosts.join('\n'));

  const authority = await createAuthority();
  const {cert, key} = await authority.issue(NAMES);
  await file('ca.pem', authority.cert);
  await makeRepository(join(files, 'www/repo.git'));
  const {stdout: pip} = await run(scope, installed.python, ['-c', 'import pip; print(pip.__path__[0])']);
  await cp(pip.trim(), join(files, 'pip'), {recursive: true});
  const goEnv = {CGO_ENABLED: '0', PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? ''};
  const built = await run(scope, 'go', ['build', '-o', join(files, 'page'), page('page.go')], {env: goEnv});
  expect(built).toMatchObject({code: 0});
  await cp(page('Page.java'), join(files, 'Page.java'));

  const serve = async (name: string, ...words: string[]) => {
    const child = Child.start(scope, process.execPath, [helper(name), ...words], {
      namespace: outside.namespace,
    });
    await child.line((line) => line === 'up');
    return child;
  };
  web = await serve('outside-web.js', OUTSIDE, join(files, 'www'));
  const keys = [await file('cert.pem', cert), await file('key.pem', key)];
  registry = await serve('package-registry.js', ...keys, OUTSIDE);
  postgres = await startPostgres(scope, {
    namespace: outside.namespace,
    address: OUTSIDE,
    admits: [`host all all ${ONE}/32 trust`],
  });
  relay = await startRelayProcess(scope, {
    namespace,
    flags: ['--egress', `one=${ONE}`, '--egress', `two=${TWO}`],
  });
  await cp(relay.caFile, join(files, 'relay-ca.pem'));
}, 180_000);

afterAll(() => scope[Symbol.asyncDispose]());

/** A repository with one commit, to which everybody may push. */
async function makeRepository(at: string): Promise<void> {
  const script = `
    git init -q "$0.work" && cd "$0.work" && echo words > file && git add file
    git -c user.name=ana -c user.email=ana@example.com commit -q -m first
    git clone -q --bare . "$0"`;
  await mkdir(dirname(at), {recursive: true});
  const made = await run(scope, 'sh', ['-ec', script, at], {env: {HOME: files}});
  expect(made).toMatchObject({code: 0});
}

/** Numbers of the user, and where it may write. */
interface Who {
  readonly as: readonly string[];
  readonly home: string;
}

async function userOf(uid: number): Promise<Who> {
  const home = await scope.tempDir(`user-${uid}`);
  await run(scope, 'chown', [`${uid}:${uid}`, home]);
  const as = uid === 0 ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'];
  return {as, home};
}

function tunlAs({as, home}: Who, words: readonly string[], env: Record<string, string> = {}): Child {
  const [program = '', ...args] = [...as, process.execPath, entry, ...words];
  return Child.start(scope, program, args, {
    namespace,
    cwd: home,
    env: {
      ...relay.env,
      TUNL_CA_FILE: join(files, 'relay-ca.pem'),
      TUNL_STATE_DIR: join(home, 'state'),
      HOME: home,
      PATH: `/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
      ...env,
    },
  });
}

const behind = async (who: Who, egress: string, command: readonly string[], env?: Record<string, string>) =>
  await tunlAs(who, ['egress', 'run', '--via', egress, '--', ...command], env).finished();

const DATABASE = 'host=db.example user=app dbname=shop sslmode=disable connect_timeout=20';
const SOURCE = 'select inet_client_addr()';

describe.each([
  ['root', 0],
  ['an ordinary user', 21_212],
])('as %s', (_name, uid) => {
  let who: Who;
  beforeAll(async () => {
    who = await userOf(uid);
  });

  const printed: [string, () => readonly string[], Record<string, string>?][] = [
    ['curl', () => ['curl', '-sS', 'http://web.example/']],
    [
      'Node fetch',
      () => [
        process.execPath,
        ...['-e', 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)', 'http://web.example/'],
      ],
    ],
    ['a static program of Go', () => [join(files, 'page'), 'http://web.example/']],
    ['Java', () => ['java', join(files, 'Page.java'), 'http://web.example/']],
    ['psql', () => ['psql', '-XAtc', SOURCE, DATABASE]],
    [
      'psycopg2',
      () => [
        '/usr/bin/python3',
        '-c',
        'import psycopg2, sys; c = psycopg2.connect(sys.argv[1]).cursor(); c.execute(sys.argv[2]); print(c.fetchone()[0])',
        DATABASE,
        SOURCE,
      ],
    ],
  ];

  test.each(printed)('%s', async (_program, command) => {
    expect(await behind(who, 'one', command())).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(`^${ONE}\\s*$`),
    });
  });

  test('git clone, and a push of more than one piece', async () => {
    const before = web.lines.length;
    const url = 'http://web.example/repo.git';
    const script = `git clone -q ${url} clone && cd clone && head -c 3000000 /dev/urandom > large && git add large
      git -c user.name=ana -c user.email=ana@example.com commit -q -m large
      git push -q origin "HEAD:refs/heads/of-${uid}" && git rev-parse HEAD`;
    const pushed = await behind(who, 'one', ['sh', '-ec', script]);
    expect(pushed).toMatchObject({code: 0});
    expect(await run(scope, 'cat', [join(who.home, 'clone/file')])).toMatchObject({stdout: 'words\n'});
    const there = ['-C', join(files, 'www/repo.git'), 'rev-parse', `of-${uid}`];
    expect((await run(scope, 'git', there)).stdout).toBe(pushed.stdout);
    const paths = web.lines.slice(before).map((line) => line.split(' from ')[0]);
    expect(paths).toEqual(
      expect.arrayContaining(['/repo.git/git-upload-pack', '/repo.git/git-receive-pack']),
    );
    const sources = web.lines.slice(before).map((line) => line.split(' from ')[1]);
    expect(new Set(sources)).toEqual(new Set([ONE]));
  });

  test('npm i and pip install', async () => {
    const before = registry.lines.length;
    const npm = [process.execPath, join(NPM, 'bin/npm-cli.js'), 'i', 'wanted', '--no-audit', '--no-fund'];
    const from = ['--registry=https://registry.example/', `--cafile=${files}/ca.pem`];
    expect(await behind(who, 'one', [...npm, ...from])).toMatchObject({code: 0});
    const pip =
      'import sys; sys.path.insert(0, sys.argv.pop(1)); from pip._internal.cli.main import main; sys.exit(main())';
    const index = ['--index-url', 'https://registry.example/simple', '--cert', `${files}/ca.pem`];
    const words = [
      '--isolated',
      'install',
      'wanted',
      '--disable-pip-version-check',
      '--target=site',
      ...index,
    ];
    expect(await behind(who, 'one', ['/usr/bin/python3', '-c', pip, files, ...words])).toMatchObject({
      code: 0,
    });
    const sources = registry.lines.slice(before).map((line) => line.split(' from ')[1]);
    expect(sources.length).toBeGreaterThanOrEqual(8);
    expect(new Set(sources)).toEqual(new Set([ONE]));
  });

  test('a second egress at the same time has its own address, which the database does not admit', async () => {
    const [first, second, query] = await Promise.all([
      behind(who, 'one', ['curl', '-sS', 'http://web.example/']),
      behind(who, 'two', ['curl', '-sS', 'http://web.example/']),
      behind(who, 'two', ['psql', '-XAtc', SOURCE, DATABASE]),
    ]);
    expect([first.stdout, second.stdout]).toEqual([ONE, TWO]);
    // Without an egress it is another one.
    const direct = Child.start(scope, 'curl', ['-sS', 'http://web.example/'], {namespace});
    expect([ONE, TWO]).not.toContain((await direct.finished()).stdout);
    expect(query.code).not.toBe(0);
    expect(query.stderr).toContain(`no pg_hba.conf entry for host "${TWO}"`);
  });
});

test(`a dump of ${DUMP_MB} MB over a link that is cut five times is the same`, async () => {
  const row = 'md5(i::text) || md5((i + 1)::text)';
  await postgres.sql(
    `create table orders as select i, ${row} as text from generate_series(1, ${DUMP_MB * 13_500}) i`,
  );
  const folder = await scope.tempDir('dumps');
  const proxy = Child.start(
    scope,
    process.execPath,
    [helper('cutting-proxy.js'), String(relay.port), String((DUMP_MB * 1e6) / 8), '5'],
    {namespace},
  );
  const port = await proxy.line((line) => /^\d+$/.test(line));
  const who = await userOf(21_212);
  const through = relay.url.replace(/:\d+$/, `:${port}`);
  const forward = tunlAs(who, ['egress', 'forward', '--via', 'one', 'db.example:5432'], {
    TUNL_RELAY: through,
  });
  const [host = '', local = ''] = (await forward.line()).split(':');
  const near = `host=${host} port=${local} user=app dbname=shop sslmode=disable`;
  const query = Child.start(scope, 'psql', ['-XAtc', SOURCE, near], {namespace});
  expect(await query.finished()).toMatchObject({code: 0, stdout: `${ONE}\n`});
  const dump = Child.start(scope, postgresProgram('pg_dump'), ['-f', join(folder, 'through'), near], {
    namespace,
  });
  expect(await dump.finished()).toMatchObject({code: 0, stderr: ''});
  expect(proxy.lines.slice(1)).toEqual([1, 2, 3, 4, 5].map((each) => `cut ${each}`));
  await writeFile(join(folder, 'direct'), await postgres.beside('pg_dump', 'shop'));
  const [one, other] = await Promise.all(['through', 'direct'].map((name) => digestOf(join(folder, name))));
  expect(one?.bytes).toBeGreaterThan(DUMP_MB * 0.9e6);
  expect(one).toEqual(other);
}, 600_000);

/** Without the word that newer versions of pg_dump draw anew for each dump. */
async function digestOf(path: string): Promise<{bytes: number; hash: string}> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const line of createInterface({input: createReadStream(path)})) {
    if (/^\\(un)?restrict /.test(line)) continue;
    bytes += line.length + 1;
    hash.update(`${line}\n`);
  }
  return {bytes, hash: hash.digest('hex')};
}
