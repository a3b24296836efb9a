// The settings of a hub and of its templates, each declared once: hub.yaml, the library and the documentation follow from it.

import {FORWARD_SETTINGS} from '../agent/settings-table.js';
import {choice, file, list, setting, size, text, wholeNumber, wholeTime} from '../core/settings.js';
import {port, tunnelName} from '../protocol/setting-kinds.js';
import {OIDC_SETTINGS} from '../relay/access/oidc-settings.js';
import {SANDBOX_SETTINGS} from '../sandbox/settings.js';

const {relay, context, token, tokenFile, caFile, oidc, oidcClient, oidcSecretFile} = FORWARD_SETTINGS;
const {oidcRules, oidcCaFile} = OIDC_SETTINGS;
const {backend, image, runtime, egress, memory, cpu, pids, disk, openFiles, bestEffort} = SANDBOX_SETTINGS;

const MIB = 1024 ** 2;
const LONGEST_MS = 365 * 86_400_000;
const bytes = size({min: 0, max: 2 ** 50});

export const HUB_SETTINGS = {
  relay: {...relay, defaultText: 'that of the context'},
  context,
  token: {...token, secretIn: 'tokenFile'},
  tokenFile: {...tokenFile, flag: 'token-file'},
  caFile: {...caFile, flag: 'ca-file'},
  name: setting(tunnelName, {default: 'hub', flag: 'name', help: 'The name of the hub’s own address.'}),
  mostSessions: setting(wholeNumber({min: 1, max: 10_000}), {
    default: 100,
    flag: 'max-sessions',
    help: 'Sessions of all users together.',
  }),
  startsAtOnce: setting(wholeNumber({min: 1, max: 1_000}), {
    defaultText: 'the number of cores',
    flag: 'starts-at-once',
    help: 'Sessions that start at the same time; others wait for their turn.',
  }),
  mostQueued: setting(wholeNumber({min: 0, max: 10_000}), {
    default: 100,
    flag: 'max-queued',
    help: 'Sessions that wait for their start.',
  }),
  freeMemory: setting(bytes, {
    default: 256 * MIB,
    flag: 'free-memory',
    help: 'No session starts while this machine has less free memory.',
  }),
  freeDisk: setting(bytes, {
    default: 512 * MIB,
    flag: 'free-disk',
    help: 'No session starts while the disk of the homes has less free space.',
  }),
  readyTimeoutMs: setting(wholeTime({minMs: 1_000, maxMs: 3_600_000}), {
    default: 60_000,
    flag: 'ready-timeout',
    help: 'How long a request waits for its session.',
  }),
  oidcClient: {...oidcClient, help: 'People sign in at an issuer of identities, as this client of it.'},
  oidcSecretFile: {...oidcSecretFile, help: 'The secret of the client, on the first line, if it has one.'},
  oidcIssuer: {
    ...oidc,
    flag: 'oidc-issuer',
    defaultText: 'that of the relay',
    help: 'The issuer.',
  },
  oidcCaFile: {...oidcCaFile, help: 'CA of an issuer with a private CA.'},
  oidcRules: {
    ...oidcRules,
    example: 'email=*@example.com hub:sessions',
    help: 'Who may do what, with the scopes hub:sessions and hub:admin.',
  },
  oidcOwner: {...OIDC_SETTINGS.oidcOwner, default: 'email', help: 'The claim that names the user.'},
  oidcQuota: setting(wholeNumber({min: 0, max: 1_000}), {
    default: 2,
    flag: 'oidc-quota',
    help: 'The quota of a user who signs in there for the first time.',
  }),
};

/** A setting of `templates: {NAME: …}`. */
export const TEMPLATE_SETTINGS = {
  program: setting(choice('PROGRAM', 'program', ['jupyter', 'code-server', 'terminal', 'command']), {
    defaultText: 'command, if there is a command',
    key: 'program',
    help: 'What a session runs: jupyter, code-server, terminal, or a command.',
  }),
  title: setting(text('TEXT'), {defaultText: 'the program’s', key: 'title', help: 'Its name for people.'}),
  command: setting(list(text('WORD')), {
    default: [],
    key: 'command',
    help: 'Program and arguments; {port}, {url}, {host}, {secret} and {home} are replaced.',
  }),
  bin: setting(text('PATH'), {
    defaultText: 'found in PATH',
    key: 'bin',
    help: 'The program’s file, as it is called inside.',
  }),
  args: setting(list(text('WORD')), {
    default: [],
    key: 'args',
    help: 'Further arguments of jupyter or code-server.',
  }),
  port: setting(port, {default: 8888, key: 'port', help: 'The port inside that the program listens on.'}),
  path: setting(text('PATH'), {
    default: '',
    key: 'path',
    help: 'The path of a command’s address, such as /?token={secret}.',
  }),
  readyPath: setting(text('PATH'), {
    defaultText: 'its port is open',
    key: 'ready-path',
    help: 'A command is ready when this path answers 2xx or 3xx.',
  }),
  backend: {...backend, key: 'backend'},
  image: {...image, key: 'image'},
  runtime: {...runtime, key: 'runtime'},
  egress: {...egress, key: 'egress'},
  memory: {...memory, key: 'memory'},
  cpu: {...cpu, key: 'cpu'},
  pids: {...pids, key: 'pids'},
  disk: {...disk, key: 'disk'},
  openFiles: {...openFiles, key: 'open-files'},
  bestEffort: {...bestEffort, key: 'best-effort'},
  mounts: setting(list(text('SOURCE[:TARGET][:rw]')), {
    default: [],
    key: 'mounts',
    help: 'Folders of this machine that are visible inside, read-only unless they end in :rw.',
  }),
  env: setting(list(text('NAME=VALUE'), {inLines: true}), {
    default: [],
    key: 'env',
    help: 'Environment of the program; no secrets.',
  }),
  envFile: setting(file, {key: 'env-file', help: 'A file with NAME=VALUE lines, for secrets.'}),
  home: setting(choice('HOME', 'kind of home', ['persistent', 'ephemeral']), {
    default: 'persistent',
    key: 'home',
    help: 'persistent: a user finds the same files again; ephemeral: they end with the session.',
  }),
  timeoutMs: setting(wholeTime({minMs: 1_000, maxMs: LONGEST_MS, orZero: true}), {
    default: 12 * 3_600_000,
    key: 'timeout',
    help: 'The life of a session, 0s for none. Its user can extend it.',
  }),
  maxLifetimeMs: setting(wholeTime({minMs: 1_000, maxMs: LONGEST_MS, orZero: true}), {
    default: 0,
    key: 'max-lifetime',
    help: 'The longest life of a session with all extensions, 0s for no bound.',
  }),
  idleMs: setting(wholeTime({minMs: 1_000, maxMs: LONGEST_MS, orZero: true}), {
    default: 3_600_000,
    key: 'idle',
    help: 'A session stops after this long without use, 0s for never.',
  }),
  readyTimeoutMs: setting(wholeTime({minMs: 1_000, maxMs: 3_600_000}), {
    default: 60_000,
    key: 'ready-timeout',
    help: 'A session fails if its program does not answer in time.',
  }),
  restart: setting(choice('RULE', 'rule', ['never', 'on-failure', 'always']), {
    default: 'never',
    key: 'restart',
    help: 'Whether a program that ended is started again, three times at the most; always: also after a reboot.',
  }),
};
