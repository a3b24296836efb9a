// Diagnostics of one turn of the event loop leave in one write: a thousand lines at once, such as those of agents that come
// back after an outage, must not cost a thousand system calls.

/** Everything that this turn writes to stderr leaves together at its end, in order. */
export function gatherStderr(): void {
  const {stderr} = process;
  if (stderr.writableCorked > 0) return;
  stderr.cork();
  const uncork = () => {
    process.off('exit', uncork);
    stderr.uncork();
  };
  // A process that ends in the middle of a turn writes its last lines, too.
  process.once('exit', uncork);
  setImmediate(uncork);
}
