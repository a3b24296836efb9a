// `npm run bench:chart -- FILE.json`: a chart of a recorded run, as SVG on stdout or in a file; or its goals, as a table.

import {readFileSync, writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import {type Bars, barChart} from './charts/bars.js';
import {cpuPerWork, noteOf, type Recorded, ratios} from './charts/recorded.js';
import {goalsTable} from './report.js';

const usage = `npm run bench:chart -- FILE.json [--kind ratios] [--to frp] [--peers NAME,…] [--out FILE.svg]

  FILE.json  a record that npm run bench has written
  --kind     ratios: each figure ÷ that of the peer --to; cpu: CPU seconds of both ends for each unit of work; goals: a table (ratios)
  --to       the peer whose bar is 1 (frp)
  --peers    whose bars are shown (all but variants of tunl and what is no real tunnel)
  --out      default: stdout
`;

/** Without a tunnel, and variants of tunl itself, there is nothing to compare. */
const notShown = ['direct', 'simplest', 'tunl-noreplay'];

function main(): number {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      kind: {type: 'string', default: 'ratios'},
      to: {type: 'string', default: 'frp'},
      peers: {type: 'string'},
      out: {type: 'string'},
    },
  });
  const [file] = positionals;
  if (values.help || file === undefined || positionals.length > 1) {
    (values.help ? process.stdout : process.stderr).write(usage);
    return values.help ? 0 : 2;
  }
  const record = JSON.parse(readFileSync(file, 'utf8')) as Recorded;
  const measured = Object.keys(record.results);
  const peers =
    values.peers?.split(',') ??
    measured.filter((name) => ![...notShown, values.to].includes(name) && !name.startsWith('node '));
  const missing = [...peers, values.to].filter((name) => !measured.includes(name));
  if (missing.length > 0)
    throw new Error(`the record has no ${missing.join(', ')}: it has ${measured.join(', ')}`);
  const text =
    values.kind === 'goals' ? goalsOf(record) : barChart(chartOf(record, values.kind, peers, values.to));
  if (values.out === undefined) process.stdout.write(text);
  else writeFileSync(values.out, text);
  return 0;
}

function goalsOf(record: Recorded): string {
  return `${noteOf(record)}\n\n${goalsTable(record.verdicts)}\n`;
}

function chartOf(record: Recorded, kind: string, peers: readonly string[], to: string): Bars {
  if (kind === 'ratios') return ratios(record, peers, to);
  if (kind === 'cpu') return cpuPerWork(record, [...peers, to]);
  throw new Error(`--kind ${kind}: known are ratios, cpu, goals`);
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
