// The words of the commands for sandboxes.

import {bytes, clockTime, count, time} from '../format.js';
import type {Line} from '../wording.js';
import type {
  BackendEvent,
  FindingFacts,
  FinishedEvent,
  RefusedEvent,
  SandboxCliEvent,
  SandboxEndFacts,
  SandboxEvent,
  StartedEvent,
} from './events.js';

/** The heading of the rows of `tunl sandbox ps`. */
export const HEADING = row(['ID', 'STATE', 'STOPS IN', 'NAME', 'ADDRESS', 'COMMAND']);

/** The line of an event on stdout, if any. */
export function sandboxResult(event: SandboxCliEvent): string | undefined {
  switch (event.type) {
    case 'started':
      // A script that starts one without ports needs its ID.
      return event.detached && event.ports.length === 0 ? event.id : undefined;
    case 'port':
      return event.address;
    case 'sandbox':
      return sandboxRow(event);
    case 'backend':
      return `${event.name}  ${event.available ? (event.version ?? 'available') : 'not available'}`;
    default:
      return undefined;
  }
}

export function sandboxLines(event: SandboxCliEvent): Line[] {
  switch (event.type) {
    case 'started':
      return started(event);
    case 'prolonged':
      return [{tone: 'plain', text: `${event.id} ${ends(event.stopsAt)}`}];
    case 'egress':
      return [{tone: 'plain', text: `${event.id} has ${network(event.egress)} now`}];
    case 'refused':
      return [{tone: 'warning', text: refused(event)}];
    case 'finished':
      return [{tone: toneOf(event), text: `${event.id} has ended: ${reasonOf(event)}`}];
    case 'copied':
      return [
        {
          tone: 'plain',
          text: `${count(event.files, 'file')}, ${bytes(event.bytes)}: ${event.from} → ${event.to}`,
        },
      ];
    case 'sandbox':
      return event.end === undefined ? [] : [{tone: 'faint', text: `  ${endOf(event.end)}`}];
    case 'backend':
      return doctorLines(event);
    default:
      return [];
  }
}

function started(event: StartedEvent): Line[] {
  const {id, name, backend, limits, unreal, egress, stopsAt} = event;
  const held = limits.length === 0 ? [] : [`limits: ${limits.join(', ')}`];
  const left = stopsAt === undefined ? 'no end' : `stops in ${time(Date.parse(stopsAt) - Date.now())}`;
  const facts = [backend, ...held, network(egress), left].join(' · ');
  return [
    {tone: 'good', text: `sandbox ${name === undefined ? id : `${id} (${name})`}  ${facts}`},
    ...unreal.map((limit): Line => ({tone: 'warning', text: `the limit --${limit} does not hold here`})),
  ];
}

function refused({host, port, why, untold}: RefusedEvent): string {
  const what = port === undefined ? `the name ${host}` : `${host} port ${port}`;
  const others = untold === 0 ? '' : `; ${untold} more are not shown`;
  return `refused: ${what} ${REFUSALS[why]}${others}`;
}

const REFUSALS: Readonly<Record<RefusedEvent['why'], string>> = {
  'not-allowed': 'is not in --egress',
  'not-public': 'is no public address',
  'address-unknown': 'is an address that no look-up has given',
  'server-name': 'is spoken to under another name',
  limit: 'is one connection too many',
};

function network([first, ...others]: readonly string[]): string {
  if (first === undefined || first === 'none') return 'no network';
  return first === 'internet' ? 'the internet' : `network: ${[first, ...others].join(', ')}`;
}

function ends(stopsAt: string | undefined): string {
  return stopsAt === undefined ? 'has no end' : `ends at ${clockTime(new Date(stopsAt))}`;
}

function sandboxRow(event: SandboxEvent, now = Date.now()): string {
  const {id, state, stopsAt, name, ports, command, end} = event;
  const stops = end !== undefined ? end.reason : stopsAt === undefined ? 'never' : remaining(stopsAt, now);
  const addresses = ports.map(({address}) => address).join(',') || '-';
  return row([id, state, stops, name ?? '-', addresses, command.join(' ')]);
}

/** The columns of a terminal; `awk` reads them as well. */
function row([id = '', state = '', stops = '', name = '', ...rest]: readonly string[]): string {
  return [id.padEnd(11), state.padEnd(8), stops.padEnd(10), name.padEnd(8), ...rest].join('  ');
}

function remaining(stopsAt: string, now: number): string {
  const ms = Date.parse(stopsAt) - now;
  return ms <= 0 ? 'now' : time(ms).replace(' ', '');
}

function endOf(end: SandboxEndFacts): string {
  const at = end.at === undefined ? '' : ` at ${clockTime(new Date(end.at))}`;
  return `ended${at}: ${reasonOf(end)}`;
}

function reasonOf({reason, code, signal, detail}: SandboxEndFacts): string {
  const more = detail === undefined ? '' : ` (${detail.replace(/\.$/, '')})`;
  switch (reason) {
    case 'exited':
      return signal === undefined
        ? `its command exited with code ${code ?? '?'}`
        : `its command was ended by ${signal}`;
    case 'timeout':
      return 'its time had passed';
    case 'idle':
      return 'it was idle for too long';
    case 'oom':
      return `it used up its memory${more}`;
    case 'terminated':
      return 'it was stopped';
    case 'failed':
      return `it could not be started${more}`;
    case 'lost':
      return `it was lost${more}`;
  }
}

function toneOf({reason, code, signal}: FinishedEvent): Line['tone'] {
  if (reason === 'oom' || reason === 'failed' || reason === 'lost') return 'bad';
  return reason === 'exited' && (code !== 0 || signal !== undefined) ? 'warning' : 'plain';
}

const REALITY: Readonly<Record<FindingFacts['reality'], string>> = {
  real: 'holds',
  soft: 'for each process alone',
  none: 'not possible',
};

function doctorLines({available, why, mend, findings, notes}: BackendEvent): Line[] {
  if (!available) {
    const line: Line = {tone: 'bad', text: `  ${why ?? 'not available'}`};
    return [line, ...mendLine(mend)];
  }
  return [
    ...findings.flatMap(findingLines),
    ...notes.map((text): Line => ({tone: 'faint', text: `  note: ${text}`})),
  ];
}

function findingLines({what, reality, why, mend}: FindingFacts): Line[] {
  const because = why === undefined ? '' : `: ${why}`;
  const tone = reality === 'real' ? 'plain' : 'warning';
  const name = what === 'egress' ? 'network' : what;
  return [{tone, text: `  ${name.padEnd(10)}  ${REALITY[reality]}${because}`}, ...mendLine(mend)];
}

function mendLine(mend: string | undefined): Line[] {
  return mend === undefined ? [] : [{tone: 'plain', text: `    to mend it: ${mend}`}];
}
