// The shell script that becomes bwrap: it enters the control groups, below root it shows the sandbox's user what that user
// could not reach, and drops root. It comes through a descriptor.

import {FD} from './arguments.js';

/** Something below a folder of root that the sandbox's own user has to reach. */
export interface StagedPath {
  readonly source: string;
  readonly isFolder: boolean;
  /** Device and inode; a link that somebody has put there since the check leads elsewhere. */
  readonly identity?: string | undefined;
}

/** One of these folders, which every system has, becomes the stage. Only the sandbox's own launch sees that. */
const STAGES = ['/mnt', '/media', '/srv', '/opt'];

export interface Stage {
  /** The folder in which the script collects everything. */
  readonly folder: string;
  /** Where the paths are later. */
  readonly place: string;
  readonly paths: StagedPath[];
}

export function newStage(folder: string, isThere: (path: string) => boolean): Stage | undefined {
  const place = STAGES.find(isThere);
  return place === undefined ? undefined : {folder, place, paths: []};
}

/** @returns the path by which the sandbox's user reaches it. */
export function putOnStage(stage: Stage, path: StagedPath): string {
  const found = stage.paths.findIndex(({source}) => source === path.source);
  if (found !== -1) return `${stage.place}/${found}`;
  return `${stage.place}/${stage.paths.push(path) - 1}`;
}

export interface LaunchOptions {
  readonly bwrap: string;
  /** Program and arguments of the init, as inside: bwrap takes them from its command line only. */
  readonly init: readonly string[];
  /** Files that take the process's pid. */
  readonly enter: readonly string[];
  /** Words before the command that drops root. */
  readonly rootWords?: readonly string[];
  /** Below root. */
  readonly asUser?: {readonly uid: number; readonly stage: Stage} | undefined;
}

export function launchScript({bwrap, init, enter, rootWords = [], asUser}: LaunchOptions): string {
  const keep = Object.values(FD).filter((fd) => fd !== FD.script);
  const drop = asUser === undefined ? [] : [...rootWords, ...dropRoot(asUser.uid)];
  return [
    'set -eu',
    'umask 022',
    // Descriptors that this process has inherited from whatever started it would be open inside.
    `for fd in "/proc/$$/fd/"*; do fd=\${fd##*/}; case "$fd" in`,
    `  0|1|2|${keep.join('|')}) ;;`,
    '  *) eval "exec $fd<&-" ;;',
    'esac; done',
    ...enter.map((file) => `echo $$ > ${quote(file)}`),
    ...(asUser === undefined ? [] : stageLines(asUser.stage)),
    `exec ${[...drop, bwrap, '--args', String(FD.arguments), '--', ...init].map(quote).join(' ')}`,
    '',
  ].join('\n');
}

function stageLines({folder, place, paths}: Stage): string[] {
  return [
    // Everything that is mounted from here on is seen by this process and its children alone.
    `mount -t tmpfs -o mode=0755,size=1m tunl ${quote(folder)}`,
    ...paths.flatMap(({source, isFolder, identity}, index) => {
      const target = quote(`${folder}/${index}`);
      return [
        isFolder ? `mkdir ${target}` : `: > ${target}`,
        `mount --rbind ${quote(source)} ${target}`,
        ...(identity === undefined
          ? []
          : [
              `[ "$(stat -c %d:%i ${target})" = ${quote(identity)} ] || { echo 'a mounted folder was replaced' >&2; exit 1; }`,
            ]),
      ];
    }),
    `mount --move ${quote(folder)} ${place}`,
  ];
}

function dropRoot(uid: number): string[] {
  return [
    'setpriv',
    ...[`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'],
    ...['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all'],
    '--no-new-privs',
    '--',
  ];
}

/** The words that run the script, and nothing else. @param shell bash, since others cannot close descriptors above 9. */
export function launchWords(shell: string, asRoot: boolean): string[] {
  const read = `eval "$(cat <&${FD.script})"`;
  const unshare = asRoot ? ['unshare', '--mount', '--propagation', 'private', '--'] : [];
  return [...unshare, shell, '-c', read];
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
