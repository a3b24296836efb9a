// `node --import …/turns-hook.js`: at SIGIO the process prints on stderr the longest turns of its event loop since the
// last SIGIO, in ms of its own CPU time, so other work on the machine does not count.
const EVERY_MS = 5;

let count = 0;
let longestMs = 0;
let busyMs = 0;
let before = process.threadCpuUsage();

const look = () => {
  const now = process.threadCpuUsage();
  const ms = (now.user + now.system - before.user - before.system) / 1000;
  longestMs = Math.max(longestMs, ms);
  busyMs += ms;
  before = now;
};
setInterval(look, EVERY_MS).unref();

process.on('SIGIO', () => {
  look();
  count += 1;
  process.stderr.write(`${JSON.stringify({turns: count, longestMs, busyMs})}\n`);
  longestMs = 0;
  busyMs = 0;
});
