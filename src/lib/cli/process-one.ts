// Process 1 of a container has to collect the processes that others leave behind. Node collects only its own children, but a
// shell collects all. So tunl turns process 1 into a small shell, and goes on as its child.

import {isExecutable} from '../core/executable.js';

/**
 * $@: the command. The shell passes signals on, and ends with the command's exit code. In the background a command has no
 * stdin, so it gets a copy of the shell's.
 */
const SCRIPT = `
child=
for name in HUP INT TERM; do trap "kill -$name \\$child 2>/dev/null" $name; done
exec 3<&0
"$@" <&3 3<&- &
child=$!
exec 3<&- </dev/null
while :; do
  wait $child
  code=$?
  kill -0 $child 2>/dev/null || exit $code
done
`;

const SHELL = '/bin/sh';

/**
 * Called before this process has begun anything. Does not return when this is process 1 and a shell can take its place.
 * False: this is process 1, and it stays so: without a shell, or with a Node before 22.15.
 */
export function leaveProcessOne(): boolean {
  if (process.pid !== 1) return true;
  // A call of `execve` that fails would end the process.
  if (process.execve === undefined || !isExecutable(SHELL)) return false;
  const {execPath, execArgv, argv, env} = process;
  process.execve(SHELL, ['sh', '-c', SCRIPT, 'tunl-init', execPath, ...execArgv, ...argv.slice(1)], env);
  return false;
}
