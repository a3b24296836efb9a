// What the clients of the loads have in common: how long they run, and the line of JSON that they print.

/** Calls `once` over and over in `count` places at the same time, and prints how often it succeeded and how long it took. */
export async function measure({count, seconds, facts = () => ({})}, once) {
  const until = performance.now() + seconds * 1000;
  const times = [];
  let errors = 0;
  const began = performance.now();
  const place = async (index) => {
    while (performance.now() < until) {
      const since = performance.now();
      try {
        await once(index);
        times.push(performance.now() - since);
      } catch {
        errors += 1;
        // An error that comes at once must not take the machine from the others.
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  };
  await Promise.all(Array.from({length: count}, (_, index) => place(index)));
  const elapsed = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  const share = (part) => times[Math.floor(times.length * part)] ?? 0;
  const perSecond = times.length / elapsed;
  const line = {done: times.length, perSecond, p50Ms: share(0.5), p99Ms: share(0.99), errors, ...facts()};
  console.log(JSON.stringify(line));
  process.exit();
}
