// `node --import …/turns-hook.js`: at SIGIO the process says on stderr how long its event loop was kept busy at a time since the
// last SIGIO, in ms of its own CPU: what else the machine does is not counted.
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
