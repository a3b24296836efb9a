// The tests of open tunnels, behind a gate: with TUNL_TEST_GATE every command with an HTTP tunnel gets the flags of that gate, and
// visitors of the helpers (curl, Chromium) have what it asks for. Tests with visitors of their own take it from `wayIn`.
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {BrowserContext} from 'playwright-core';
import {run} from './child.js';
import {INSTANT_CLIENT, INSTANT_PERSON, type InstantIssuer, startInstantIssuer} from './instant-issuer.js';
import type {Scope} from './scope.js';

export const GATES = ['private', 'basic-auth', 'oidc'] as const;
export type GateName = (typeof GATES)[number];

/** Undefined: no gate. */
export const gate = gateOf(process.env.TUNL_TEST_GATE);

export const GUEST = {username: 'guest', password: 'correct horse battery'};

/** Commands whose tunnels carry HTTP. */
const COMMANDS = ['expose', 'jupyter', 'code-server', 'terminal'];

interface Running {
  readonly stdout: string;
}

/** Commands of the tests that run, with what they printed: it has the links. */
const running = new Set<Running>();
const issuers = new WeakMap<Scope, Promise<InstantIssuer>>();
/** Cookie jars by origin. */
const jars = new Map<string, Promise<string>>();

export interface BehindGate {
  args: readonly string[];
  env: Record<string, string>;
  started(command: Running): void;
}

/** The command line with the flags of the gate. */
export async function behindGate(scope: Scope, args: readonly string[]): Promise<BehindGate> {
  if (gate === undefined || !carriesHttp(args)) return {args, env: {}, started: () => {}};
  const {flags, env} = await FLAGS[gate](scope);
  const [command = '', ...more] = args;
  return {
    args: [command, ...flags, ...more],
    env,
    started: (child) => {
      running.add(child);
      scope.onEnd(() => void running.delete(child));
    },
  };
}

const FLAGS: Readonly<
  Record<GateName, (scope: Scope) => Promise<{flags: string[]; env: Record<string, string>}>>
> = {
  private: async () => ({flags: ['--private'], env: {}}),
  'basic-auth': async () => ({
    flags: ['--basic-auth', GUEST.username],
    env: {TUNL_BASIC_AUTH_PASSWORD: GUEST.password},
  }),
  oidc: async (scope) => {
    const {url, ca} = await issuerOf(scope);
    const caFile = join(await scope.tempDir('issuer'), 'ca.pem');
    await writeFile(caFile, ca);
    return {
      flags: ['--oidc', url, '--oidc-client', INSTANT_CLIENT, '--oidc-allow', INSTANT_PERSON],
      env: {TUNL_OIDC_CA_FILE: caFile},
    };
  },
};

/** The headers that let a visitor of this address in; none for an address that is not behind the gate. */
export async function wayIn(scope: Scope, caFile: string, url = ''): Promise<Record<string, string>> {
  const link = linkOf(url);
  if (gate === undefined || link === undefined) return {};
  if (gate === 'private') return {'tunl-access': link.token ?? ''};
  if (gate === 'basic-auth') {
    const pair = Buffer.from(`${GUEST.username}:${GUEST.password}`).toString('base64');
    return {authorization: `Basic ${pair}`};
  }
  const {origin} = new URL(url);
  const jar = jars.get(origin) ?? signIn(scope, caFile, origin);
  jars.set(origin, jar);
  return {cookie: await jar};
}

/** As lines of a head that a test writes itself. */
export async function wayInLines(scope: Scope, caFile: string, url = ''): Promise<string> {
  const headers = Object.entries(await wayIn(scope, caFile, url));
  return headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}

/** As arguments of curl, for the first address of a tunnel among them. */
export async function wayInForCurl(
  scope: Scope,
  caFile: string,
  args: readonly string[],
): Promise<readonly string[]> {
  const url = args.find((arg) => arg.startsWith('https://') && linkOf(arg) !== undefined);
  return Object.entries(await wayIn(scope, caFile, url)).flatMap(([name, value]) => [
    '--header',
    `${name}: ${value}`,
  ]);
}

/** PEM texts of authorities that a browser needs beside the relay's. */
export async function moreAuthorities(scope: Scope): Promise<string[]> {
  return gate === 'oidc' ? [(await issuerOf(scope)).ca] : [];
}

/** Pages of this browser open a private address by its link. */
export function openByLink(context: BrowserContext): void {
  if (gate !== 'private') return;
  context.on('page', (page) => {
    const goTo = page.goto.bind(page);
    page.goto = (address, options) => {
      const url = new URL(address);
      const token = linkOf(address)?.token;
      if (token !== undefined) url.searchParams.set('tunl', token);
      return goTo(token === undefined ? address : url.href, options);
    };
  });
}

/** What visitors get while the service does not accept connections: nothing, or a page of the gate. */
export function sawNoService({code, status}: {code: number | null; status: number}): boolean {
  return gate === undefined ? code !== 0 : status === 502;
}

function gateOf(name: string | undefined): GateName | undefined {
  if (name === undefined || name === '') return undefined;
  const found = GATES.find((each) => each === name);
  if (found === undefined) throw new Error(`TUNL_TEST_GATE=${name}: there are ${GATES.join(', ')}`);
  return found;
}

function carriesHttp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  const isGated = own.some((word) => /^--(private|basic-auth|oidc)$/.test(word));
  return (
    COMMANDS.includes(own[0] ?? '') &&
    !isGated &&
    !own.some((word) => word === '--tcp' || word.endsWith(':tcp'))
  );
}

/** Undefined when no command of a test that runs printed this address. */
function linkOf(url: string): {token: string | undefined} | undefined {
  if (!URL.canParse(url)) return undefined;
  const {origin} = new URL(url);
  for (const {stdout} of running) {
    if (!stdout.includes(origin)) continue;
    const links = stdout.split(/[\s"]/).filter((word) => word.startsWith(origin) && word.includes('tunl='));
    return {token: /[?&]tunl=([a-z2-9]+)/.exec(links[0] ?? '')?.[1]};
  }
  return undefined;
}

function issuerOf(scope: Scope): Promise<InstantIssuer> {
  const issuer = issuers.get(scope) ?? startInstantIssuer(scope);
  issuers.set(scope, issuer);
  return issuer;
}

/** Goes through the pages of the sign-in like a browser; the cookie of the tunnel. */
async function signIn(scope: Scope, caFile: string, origin: string): Promise<string> {
  const folder = await scope.tempDir('sign-in');
  const [trusted, jar] = [join(folder, 'ca.pem'), join(folder, 'cookies')];
  await writeFile(trusted, `${await readFile(caFile, 'utf8')}\n${(await issuerOf(scope)).ca}`);
  await run(scope, 'curl', [
    ...['--silent', '--noproxy', '*', '--cacert', trusted, '--connect-to', '::127.0.0.1:'],
    // To the issuer and back; the page itself, which is the third, is for the test to open.
    ...['--location', '--max-redirs', '2', '--cookie-jar', jar, '--cookie', jar],
    ...['--header', 'Accept: text/html', `${origin}/`],
  ]);
  const found = (await readFile(jar, 'utf8'))
    .split('\n')
    .map((line) => line.split('\t'))
    .find(([, , , , , name]) => name?.startsWith('__Host-tunl-oidc'));
  if (found === undefined) throw new Error(`no cookie after the sign-in at ${origin}`);
  return `${found[5]}=${found[6]}`;
}
