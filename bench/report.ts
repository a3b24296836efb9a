// The results as text: one table of figures and ratios, and the goals.

import {figures} from './figures.js';
import type {Results, Verdict} from './results.js';

/** tunl's figures are divided by those of these peers, if they ran. */
const references = ['direct', 'ssh', 'frp', 'chisel', 'tunl-noreplay', 'against'];

export function table(peers: readonly string[], results: Results): string {
  const ratios = peers.includes('tunl') ? references.filter((name) => peers.includes(name)) : [];
  const rows = figures
    .filter(({key}) => peers.some((name) => results.median(name, key) !== undefined))
    .map(({key, title, digits}) => [
      title,
      ...peers.map((name) => results.median(name, key)?.toFixed(digits) ?? ''),
      ...ratios.map((name) => results.ratio('tunl', key, name)?.toFixed(2) ?? ''),
    ]);
  return markdown([['', ...peers, ...ratios.map((name) => `tunl ÷ ${name.replace('tunl-', '')}`)], ...rows]);
}

export function goalsTable(verdicts: readonly Verdict[]): string {
  return markdown([
    ['goal', 'bound', 'is', ''],
    ...verdicts.map(({key, against, atLeast, atMost, value, pass}) => {
      const what = titleOf(key) + (against === undefined ? '' : ` ÷ ${against}`);
      const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
      return [what, bound, value.toFixed(2), pass ? 'pass' : 'MISS'];
    }),
  ]);
}

/** A title alone: `…` in the table stands for the beginning of the one above. */
function titleOf(key: string): string {
  const at = figures.findIndex((figure) => figure.key === key);
  const title = figures[at]?.title ?? key;
  if (!title.startsWith('…')) return title;
  const first = figures.slice(0, at).findLast((figure) => !figure.title.startsWith('…'));
  return `${first?.title}${title.replace('…', ',')}`;
}

function markdown(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, n) => `${'-'.repeat(width + 1)}${n === 0 ? '-' : ':'}`).join('|')}|`;
  const [head, ...body] = rows.map(line);
  return [head, rule, ...body].join('\n');
}
