// A process namespace for the programs of a seal. The kernel ends all of them with it, whatever they have done to be overlooked:
// sessions, networks and user namespaces of their own, and more forks than somebody else could kill.

import type {ChildProcess} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {systemClock} from '../core/clock.js';
import {type ProcessStat, parseStat} from '../core/process-stat.js';
import {RUN_TEXT} from './holder.js';
import {isRunning} from './holder-process.js';
import {programPath} from './obstacles.js';

/** The answer of the first process: the programs that let a command start in its namespace are missing, or too old. */
export const NO_PROCESSES = 86;

/** Old programs, and a /proc that cannot be mounted again, as in some containers. */
const NO_PROCESSES_SAID = /mount \/proc failed|unrecognized option|invalid option/;

/**
 * Whether it lies with this system that there is no process namespace. Another failure would only leave the command with less.
 *
 * @param line of the first process @param said what the programs before it have said
 */
export const cannotHaveProcesses = (line: string | undefined, said: string): boolean =>
  line === undefined ? NO_PROCESSES_SAID.test(said) : line === `up ${NO_PROCESSES}`;

/** Whether this system has the programs that start a command in a process namespace. */
export const hasProcessPrograms = (): boolean =>
  ['env', 'timeout'].every((name) => programPath(name) !== undefined);

/** Signals that a terminal sends to the whole group, and those that are passed on. All of them are for the command. */
const HELD_BACK = 'HUP,INT,QUIT,TERM,USR1,USR2,TSTP,TTIN,TTOU';

/**
 * The words between `nsenter`, which chooses the namespace for children, and the command. `timeout` waits outside, for as long as
 * it takes, and ends exactly as the command does; `unshare` and `nsenter` do not, for some signals.
 */
export const forking = (): readonly string[] => [
  path('setpriv'),
  ...['--pdeathsig=KILL', '--'],
  ...[path('env'), `--block-signal=${HELD_BACK}`],
  ...[path('timeout'), '--foreground', '0'],
  ...[path('env'), `--default-signal=${HELD_BACK}`],
];

const path = (name: string): string => programPath(name) ?? name;

/**
 * The text of the first process. The holder's text is in `$SEAL_HOLDER`, its arguments are `$0` and `"$@"`. It gets rid of processes
 * that have lost their parent, and ends with the holder; nothing inside can stop it. Numbers begin behind that of tunl, because
 * programs make files with theirs in folders that they share with programs outside.
 */
export const FIRST_PROCESS = `
env --block-signal=HUP timeout --foreground 0 env --default-signal=HUP true 2>/dev/null || { echo "up ${NO_PROCESSES}"; exit; }
{ echo "$SEAL_FIRST" >/proc/sys/kernel/ns_last_pid; } 2>/dev/null
exec 8<&0
SEAL_TEXT=$SEAL_HOLDER /bin/sh -c '${RUN_TEXT}' "$0" "$@" <&8 8<&- &
exec </dev/null >/dev/null 3<&- 4<&- 5<&- 7<&- 8<&-
wait $!
`;

/** The words before the shell with this text. It ends with this process, also when nothing inside looks for that. */
export const inOwnProcesses = (unsharing: readonly string[]): readonly string[] => [
  path('setpriv'),
  ...['--pdeathsig=KILL', '--'],
  ...unsharing,
  ...['--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
];

/** The only child of a process, or its oldest. */
export function childOf(pid: number | undefined): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
    return first === undefined || first === '' ? undefined : Number(first);
  } catch {
    return undefined;
  }
}

/** All fields are empty for a process that is gone. */
export function statOf(pid: number | 'self' | undefined): ProcessStat {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return parseStat('');
  }
}

/** The first process of a process namespace. */
export interface FirstProcess {
  readonly pid: number;
  /** It distinguishes the process from a later one with its number. */
  readonly start: string;
}

/** @param child the program that has made the namespace */
export function firstOf(child: ChildProcess): FirstProcess | undefined {
  const pid = childOf(child.pid);
  return pid === undefined ? undefined : {pid, start: statOf(pid).start};
}

/** Programs may be many, and one that waits for a disk ends late. */
const END_MS = 5_000;
const LOOK_AGAIN_MS = 5;

/** Resolves when the kernel has ended all processes of the namespace, or cannot within a limited time. */
export async function endFirst(child: ChildProcess, {pid, start}: FirstProcess): Promise<void> {
  // It ends as the last one: the kernel ends all others before.
  const isThere = () => {
    const now = statOf(pid);
    return now.start === start && !['', 'X', 'Z'].includes(now.state);
  };
  // When its parent has ended, the kernel has killed it.
  if (isRunning(child) && isThere()) process.kill(pid, 'SIGKILL');
  const until = systemClock.now() + END_MS;
  while (isThere() && systemClock.now() < until)
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
}

/** Processes that only wait for a command. */
const waiting = new WeakSet<ChildProcess>();
const FORKED_MS = 5;

/** The command is another process than this one, which waits for it. */
export const waitsForCommand = (child: ChildProcess): boolean => waiting.has(child);

/** The process of the command; undefined while it does not exist yet. */
export const commandOf = (child: ChildProcess): number | undefined =>
  waiting.has(child) ? childOf(child.pid) : child.pid;

/** From now on `kill` is for the command that this process waits for. */
export function killsCommand(child: ChildProcess): void {
  waiting.add(child);
  const kill = child.kill.bind(child);
  child.kill = (signal = 'SIGTERM') => {
    if (isOver(child)) return false;
    deliver(child, (pid) => send(pid, signal));
    // Somebody may have stopped the one that waits.
    if (signal === 'SIGKILL' || signal === 'SIGCONT') kill(signal);
    return true;
  };
}

/** Signals the process group of a child that leads one, and its command, wherever that is. */
export function signalsGroupOf(child: ChildProcess, signal: NodeJS.Signals): void {
  const {pid: leader} = child;
  if (leader === undefined || isOver(child)) return;
  // With the group, it gets the signal once.
  const inGroup = groupOf(commandOf(child)) === leader;
  send(-leader, signal);
  // A command such as `timeout` makes a group of its own.
  if (!inGroup) deliver(child, (pid) => send(groupOf(pid) === pid ? -pid : pid, signal));
}

const groupOf = (pid: number | undefined): number => Number(statOf(pid).group);

const isOver = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/** Now, or when the command exists. */
function deliver(child: ChildProcess, sendTo: (pid: number) => void): void {
  if (isOver(child)) return;
  const pid = commandOf(child);
  if (pid === undefined) setTimeout(deliver, FORKED_MS, child, sendTo).unref();
  else sendTo(pid);
}

function send(pid: number, signal: NodeJS.Signals | number): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
