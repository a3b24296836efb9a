// What benchmarks turn off to see what it costs. Nothing else sets these variables.

/** Without the bytes that are kept for a resumed link, a lost link is the end of its streams. */
export function keepsForReplay(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.TUNL_BENCH_NO_REPLAY !== '1';
}
