// Switches with which benchmarks measure the cost of a feature. Nothing else sets these variables.

/** Without bytes kept for replay, a lost link ends its streams. */
export function keepsForReplay(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.TUNL_BENCH_NO_REPLAY !== '1';
}
