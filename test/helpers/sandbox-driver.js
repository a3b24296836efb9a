// Owns sandboxes of one backend in a process of its own, so that tests may run it as any user, and kill it. It takes one JSON
// line for each request on stdin and answers with one on stdout. `node sandbox-driver.js MODULE CLASS`; the module is a path
// below dist/.
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {Readable} from 'node:stream';

const [module = '', name = ''] = process.argv.slice(2);
const backend = new (await import(new URL(`../../dist/${module}`, import.meta.url).href))[name]();

/** Bytes of output that are kept. */
const KEPT = 64 * 1024;
/** Handle, its collected output and its folder, by number. */
const boxes = new Map();

/** Reads everything, counts it and keeps the beginning. */
function collect(stream) {
  const state = {bytes: 0, text: ''};
  stream.on('data', (piece) => {
    state.bytes += piece.length;
    if (state.text.length < KEPT) state.text += piece.toString('latin1');
  });
  stream.on('error', () => {});
  state.closed = new Promise((resolve) => stream.once('close', resolve));
  return state;
}

const rss = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;

const actions = {
  probe: async () => {
    const from = performance.now();
    const report = await backend.probe();
    return {report, ms: performance.now() - from};
  },
  create: async ({spec}) => {
    const folder = mkdtempSync(join(tmpdir(), 'tunl-box-'));
    try {
      const handle = await backend.create({
        env: {},
        mounts: [],
        limits: {},
        bestEffort: false,
        egress: {kind: 'none'},
        labels: {},
        folder,
        ...spec,
      });
      const box = boxes.size + 1;
      boxes.set(box, {handle, folder, stdout: collect(handle.stdout), stderr: collect(handle.stderr)});
      return {box, unreal: handle.unreal};
    } catch (error) {
      rmSync(folder, {recursive: true, force: true});
      throw error;
    }
  },
  run: async ({box, request, stdin = ''}) => {
    const child = await boxes.get(box).handle.exec(request);
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    const end = await child.exit;
    await Promise.all([stdout.closed, stderr.closed]);
    return {...end, stdout: stdout.text, stderr: stderr.text};
  },
  /** Resolves with the end of the command and what it has said. */
  ended: async ({box}) => {
    const {handle, stdout, stderr} = boxes.get(box);
    const end = await handle.ended;
    await Promise.all([stdout.closed, stderr.closed]);
    return {...end, stdout: stdout.text, stdoutBytes: stdout.bytes, stderr: stderr.text, peakRssBytes: rss()};
  },
  /** Connects, sends nothing, and answers with the first bytes. */
  dial: async ({box, port}) => {
    const socket = await boxes.get(box).handle.dial(port);
    const bytes = await new Promise((resolve, reject) => {
      socket.once('data', resolve);
      socket.once('error', reject);
    });
    socket.destroy();
    return bytes.toString('latin1');
  },
  read: async ({box, path}) => {
    let text = '';
    for await (const piece of await boxes.get(box).handle.files.read(path)) text += piece.toString('latin1');
    return text;
  },
  write: async ({box, path, text}) =>
    boxes.get(box).handle.files.write(path, Readable.from([Buffer.from(text)])),
  stats: ({box}) => boxes.get(box).handle.stats(),
  signal: ({box, signal}) => boxes.get(box).handle.signal(signal),
  setEgress: ({box, rules}) => boxes.get(box).handle.setEgress(rules),
  destroy: async ({box}) => {
    const {handle, folder} = boxes.get(box);
    await handle.destroy();
    await handle.destroy();
    rmSync(folder, {recursive: true, force: true});
  },
  /** @param dead ids that have no owner; sandboxes of others may run on this machine */
  sweep: async ({dead}) => backend.sweep?.(async (id) => !dead.includes(id)),
};

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

for await (const line of createInterface({input: process.stdin})) {
  const {id, ask, ...rest} = JSON.parse(line);
  Promise.resolve()
    .then(() => actions[ask](rest))
    .then(
      (value) => answer({id, value: value ?? null}),
      (error) => answer({id, error: {code: error.code, message: error.message, next: error.next}}),
    );
}
// stdin has ended: the test is over.
await Promise.all([...boxes.keys()].map((box) => actions.destroy({box})));
process.exit(0);
