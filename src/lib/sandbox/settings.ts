// The settings of a sandbox, each declared once: the library checks and completes its options with this table, and commands
// make their flags from it. The settings of its tunnels are those of `forward`.

import {TunlError} from '../core/errors.js';
import {
  choice,
  type Kind,
  list,
  onOff,
  setting,
  size,
  text,
  wholeNumber,
  wholeTime,
} from '../core/settings.js';
import {port} from '../protocol/setting-kinds.js';
import {readEgress, showEgress} from './egress-option.js';
import {checkSandboxName} from './ids.js';
import type {EgressRules} from './spec.js';

const PORTS = 'ports';
const LIMITS = 'limits';
const ISOLATION = 'isolation';

/** Most ports of one sandbox: its tunnels share a link, and a relay allows a link a hundred names and ports. */
const MAX_PORTS = 32;

const invalid = (reason: string, next?: string) =>
  new TunlError('OPTION_INVALID', next === undefined ? {reason} : {reason, next});

const SHORT_UNITS: Readonly<Record<string, string>> = {k: 'KiB', m: 'MiB', g: 'GiB', t: 'TiB'};

/** Bytes, also as engines write them: `512m`. A program gives a number or a text. */
function bytes(limits: {min: number; max: number}): Kind<number> {
  const kind = size(limits);
  const parse = (written: string) =>
    kind.parse(
      written
        .trim()
        .replace(/^(\d+)\s?([kmgt])b?$/i, (_, digits, unit) => `${digits}${SHORT_UNITS[unit.toLowerCase()]}`),
    );
  return {
    ...kind,
    parse,
    check: (value: number | string, name) =>
      typeof value === 'string' ? parse(value) : kind.check(value, name),
  };
}

const cpus: Kind<number> = {
  placeholder: 'CPUS',
  parse: (written) =>
    checkCpus(/^\d{1,4}(\.\d{1,3})?$/.test(written) ? Number(written) : Number.NaN, written),
  check: (value) => checkCpus(value, String(value)),
  show: String,
};

function checkCpus(value: unknown, written: string): number {
  if (typeof value === 'number' && value >= 0.01 && value <= 4096) return value;
  throw invalid(
    `${written.slice(0, 40)} is no number of processors.`,
    'Give one like 2 or 0.5, at least 0.01.',
  );
}

/** An absolute path inside the sandbox. */
const folderInside = text('FOLDER', (written) => {
  if (written.startsWith('/') && !written.includes('\0')) return written;
  throw invalid(`${JSON.stringify(written.slice(0, 80))} is no absolute path.`, 'Begin it with a slash.');
});

const egress: Kind<EgressRules> = {
  placeholder: 'RULES',
  parse: (written) => readEgress(written),
  check: (value) => readEgress(value),
  show: showEgress,
};

const word = (placeholder: string, pattern: RegExp, what: string) =>
  text(placeholder, (written) => {
    if (pattern.test(written)) return written;
    throw invalid(`${JSON.stringify(written.slice(0, 80))} is no ${what}.`);
  });

export const SANDBOX_SETTINGS = {
  encryptedPorts: setting(list(port, {most: MAX_PORTS}), {
    default: [],
    flag: 'port',
    help: 'A port inside, with an https address; repeatable.',
    group: PORTS,
  }),
  h2Ports: setting(list(port, {most: MAX_PORTS}), {
    default: [],
    flag: 'h2-port',
    help: 'The same with HTTP/2, for gRPC; repeatable.',
    group: PORTS,
  }),
  unencryptedPorts: setting(list(port, {most: MAX_PORTS}), {
    default: [],
    flag: 'tcp-port',
    help: 'A port inside, with a TCP port of the relay; repeatable.',
    group: PORTS,
  }),
  name: setting(text('NAME', checkSandboxName), {
    flag: 'name',
    help: 'A name to find it by. Its addresses stay the same.',
  }),
  backend: setting(choice('BACKEND', 'backend', ['auto', 'bubblewrap', 'podman', 'docker']), {
    default: 'auto',
    flag: 'backend',
    help: 'The isolation program: auto, bubblewrap, podman or docker.',
    group: ISOLATION,
  }),
  image: setting(word('IMAGE', /^\w[\w.:/@-]{0,254}$/, 'name of an image'), {
    flag: 'image',
    help: 'A local image of podman or docker.',
    group: ISOLATION,
  }),
  runtime: setting(word('RUNTIME', /^[\w/][\w./-]{0,254}$/, 'name of a runtime'), {
    flag: 'runtime',
    help: 'The OCI runtime of podman or docker, such as runsc.',
    group: ISOLATION,
  }),
  egress: setting(egress, {
    default: {kind: 'none'} as EgressRules,
    flag: 'egress',
    help: 'Where it may connect to: none, internet, or HOST:PORT,….',
    group: ISOLATION,
  }),
  memory: setting(bytes({min: 1024 * 1024, max: 2 ** 50}), {
    flag: 'memory',
    help: 'Memory of all its processes, like 512m.',
    group: LIMITS,
  }),
  cpu: setting(cpus, {flag: 'cpu', help: 'Processors, like 0.5.', group: LIMITS}),
  pids: setting(wholeNumber({min: 1, max: 4_194_304}), {
    flag: 'pids',
    help: 'Processes and threads.',
    group: LIMITS,
  }),
  disk: setting(bytes({min: 64 * 1024, max: 2 ** 50}), {
    flag: 'disk',
    help: 'Bytes that it may write, like 1g.',
    group: LIMITS,
  }),
  openFiles: setting(wholeNumber({min: 16, max: 1_048_576}), {
    flag: 'open-files',
    help: 'Open files of each process.',
    group: LIMITS,
  }),
  bestEffort: setting(onOff, {
    default: false,
    flag: 'best-effort',
    help: 'Start even if a limit does not hold on this machine.',
    group: LIMITS,
  }),
  timeoutMs: setting(wholeTime({minMs: 1, orZero: true}), {
    default: 300_000,
    flag: 'timeout',
    help: 'Its whole life; 0s for no limit.',
    group: LIMITS,
  }),
  idleTimeoutMs: setting(wholeTime({minMs: 1, orZero: true}), {
    flag: 'idle-timeout',
    help: 'End it after this time without use.',
    group: LIMITS,
  }),
  workdir: setting(folderInside, {flag: 'workdir', help: 'The folder inside that the command begins in.'}),
};
