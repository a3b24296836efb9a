// `npm run bench:soak`: half an hour of visitors, transfers, link cuts and agents that come and go. Memory, descriptors and timers
// of relay and agent must be flat. The short form is a test: test/chaos/soak.test.ts.

import {parseArgs} from 'node:util';
import {growth, type Sample, soak} from '../test/chaos/soaking.js';
import {Scope} from '../test/helpers/scope.js';
import {endAtSignals} from './machine/interruption.js';
import {positive, report} from './report-line.js';

const usage = `npm run bench:soak -- [--minutes 30] [--samples 15]

  --minutes  how long the work goes on (30)
  --samples  how often the resources are counted meanwhile (15)
`;

/** Seconds: other work on the machine stops all processes for a second now and then in half an hour. */
const RESUME_WINDOW = 15;

async function main(): Promise<number> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      minutes: {type: 'string', default: '30'},
      samples: {type: 'string', default: '15'},
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const [minutes, count] = [positive('minutes', values.minutes), positive('samples', values.samples)];
  await using scope = new Scope();
  endAtSignals(scope);
  const {samples, done, failures} = await soak(scope, {
    seconds: minutes * 60,
    samples: Math.max(3, count),
    resumeWindow: RESUME_WINDOW,
  });
  process.stdout.write(`${JSON.stringify({done})}\n`);
  for (const sample of samples) process.stdout.write(`${JSON.stringify(brief(sample))}\n`);
  for (const failure of failures.slice(0, 20)) process.stderr.write(`${failure}\n`);
  report('work that failed', failures.length, {atMost: 0}, {});
  const grown = growth(samples);
  for (const {metric, value, limit} of grown) report(`growth, ${metric}`, value, {atMost: limit}, {});
  return failures.length === 0 && grown.every(({value, limit}) => value <= limit) ? 0 : 1;
}

function brief(sample: Sample): Record<string, Record<string, number>> {
  const of = ({heapUsed, external, rss, timers, descriptors}: Sample['relay']) => ({
    heapMb: Math.round((heapUsed + external) / 1e5) / 10,
    rssMb: Math.round(rss / 1e6),
    timers,
    descriptors,
  });
  return {relay: of(sample.relay), agent: of(sample.agent)};
}

process.exitCode = await main();
