// The watcher outlives a killed tunl: a small shell that reads a pipe from tunl and ends the program at the pipe's end.
//
// Node cannot ask the kernel to end a child with its parent (PR_SET_PDEATHSIG), and a killed process cannot clean up. But the
// kernel closes its descriptors in any case, and a process that reads from one of them sees that. The watcher is /bin/sh
// without children (about 1 MB, one process), in a separate session, so that Ctrl+C or a closed terminal, which end tunl, do
// not reach it. Its limits: it cannot act when it is killed as well, cannot end processes of another user that left the
// group, and cannot find processes that left the group and cleared their environment (or left the group, without /proc).
import {type Family, MARK} from './processes.js';
import {loadExeca} from './run.js';

// $1 folder, $2 grace in tenths of a second. `mark X` comes by the pipe, because everybody may read command lines,
// `group N` names the process group, `done` means that everything has ended in order.
// Only processes of the same user count, because root can read marks that others have set.
const SCRIPT = `
group=
mark=
me=$(id -ru)
while read -r word value; do
  case $word in
    mark) mark=$value ;;
    group) group=$value ;;
    done) exit 0 ;;
  esac
done
uid_of() {
  uid=
  while read -r key uid _; do [ "$key" != Uid: ] || break; done < "/proc/$1/status"
}
strays() {
  [ -n "$mark" ] && [ -r /proc/self/environ ] || return 0
  printf '%s\\n' "$mark" | grep -lszxF -f - /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
    uid_of "$pid"
    [ "$uid" != "$me" ] || echo "$pid"
  done
}
in_group() { [ -n "$group" ] && kill -"$1" -"$group" 2>/dev/null; }
in_group TERM
turns=$2
told=
while [ "$turns" -gt 0 ]; do
  if ! in_group 0; then
    left=$(strays)
    [ -n "$left" ] || break
    [ -n "$told" ] || kill -TERM $left 2>/dev/null
    told=1
  fi
  sleep 0.1
  turns=$((turns - 1))
done
in_group KILL
left=$(strays)
[ -z "$left" ] || kill -KILL $left 2>/dev/null
rm -rf -- "$1"
`;

export interface Watcher {
  /** Tells the watcher the process group; before that it only finds marked processes. */
  guard(group: number): void;
  /** Everything has ended in order: the watcher exits and does nothing. */
  dismiss(): void;
}

export interface WatcherOptions {
  readonly mark: Family['mark'];
  /** Removed together with the program. Absolute. */
  readonly folder: string;
  readonly graceMs: number;
}

/** Never fails: without a shell there is no watcher, and tunl still cleans up when it ends by itself. */
export async function startWatcher(options: WatcherOptions): Promise<Watcher> {
  const {execa} = await loadExeca();
  const tenths = String(Math.max(1, Math.ceil(options.graceMs / 100)));
  const child = execa('/bin/sh', ['-c', SCRIPT, 'tunl-watcher', options.folder, tenths], {
    // The environment is clean, because a watcher with a mark would end itself.
    env: {PATH: '/usr/bin:/bin:/usr/sbin:/sbin'},
    extendEnv: false,
    cwd: '/',
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'ignore',
  });
  child.stdin.on('error', () => {});
  child.nodeChildProcess.unref();
  child.stdin.write(`mark ${MARK}=${options.mark}\n`);
  return {
    guard: (group) => void child.stdin.write(`group ${group}\n`),
    dismiss: () => void child.stdin.end('done\n'),
  };
}
