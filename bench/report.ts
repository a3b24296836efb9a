// The results as text: one table of figures and ratios, and the goals.

import {cpuKey, figures} from './figures.js';
import type {Results, Verdict} from './results.js';

/** Peers that are not worth a column of ratios. */
const withoutRatio = ['tunl', 'simplest'];

/** With more peers the ratios get a table of their own. */
const PEERS_BESIDE_RATIOS = 5;

export function table(peers: readonly string[], results: Results): string {
  const ratios = ratiosOf(peers);
  const rows = figures
    .filter(({key}) => peers.some((name) => results.median(name, key) !== undefined))
    .map(({key, title, digits}) => ({
      title,
      values: peers.map((name) => results.median(name, key)?.toFixed(digits) ?? ''),
      ratios: ratios.map((name) => results.ratio('tunl', key, name)?.toFixed(2) ?? ''),
      spread: spread(results.spread(peers.includes('tunl') ? 'tunl' : (peers[0] ?? ''), key)),
    }));
  return sideBySide('', peers, ratios, rows);
}

interface Row {
  title: string;
  values: readonly string[];
  ratios: readonly string[];
  spread?: string;
}

/** Values and ratios in one table, or below one another where there are too many peers for the width of a screen. */
function sideBySide(
  corner: string,
  peers: readonly string[],
  ratios: readonly string[],
  rows: readonly Row[],
): string {
  const heads = ratios.map((name) => `÷ ${name.replace('tunl-', '')}`);
  const last = rows.some((row) => row.spread !== undefined) ? ['spread'] : [];
  const ends = (row: Row) => (row.spread === undefined ? [] : [row.spread]);
  if (peers.length <= PEERS_BESIDE_RATIOS) {
    return markdown([
      [corner, ...peers, ...heads.map((head) => `tunl ${head}`), ...last],
      ...rows.map((row) => [row.title, ...row.values, ...row.ratios, ...ends(row)]),
    ]);
  }
  const values = markdown([
    [corner, ...peers, ...last],
    ...rows.map((row) => [row.title, ...row.values, ...ends(row)]),
  ]);
  if (ratios.length === 0) return values;
  const below = markdown([['tunl', ...heads], ...rows.map((row) => [row.title, ...row.ratios])]);
  return `${values}\n\n${below}`;
}

/** CPU seconds of relay and agent for each GiB or 10,000 requests, as `user + system`, and the ratios of the sums. */
export function cpuTable(peers: readonly string[], results: Results): string {
  const ends = ['relay', 'agent'];
  const measured = peers.filter((name) =>
    results.keys(name).some((key) => key.startsWith(cpuKey('', '', '').slice(0, 4))),
  );
  const ratios = ratiosOf(measured);
  const both = (load: string, end: string): [string, string] => [
    cpuKey(load, end, 'user'),
    cpuKey(load, end, 'system'),
  ];
  const rows = figures.flatMap(({key, title}) =>
    measured.some((name) => results.median(name, cpuKey(key, 'relay', 'user')) !== undefined)
      ? ends.map((end, n) => ({
          title: n === 0 ? `${title.split(', MB/s')[0]}: ${end}` : `… ${end}`,
          values: measured.map((name) =>
            both(key, end)
              .flatMap((each) => results.median(name, each)?.toFixed(2) ?? [])
              .join(' + '),
          ),
          ratios: ratios.map((name) => results.ratio('tunl', both(key, end), name)?.toFixed(2) ?? ''),
        }))
      : [],
  );
  if (rows.length === 0) return '';
  return sideBySide('CPU s per GiB or 10,000', measured, ratios, rows);
}

function ratiosOf(peers: readonly string[]): string[] {
  return peers.includes('tunl') ? peers.filter((name) => !withoutRatio.includes(name)) : [];
}

function spread(value: number | undefined): string {
  return value === undefined ? '' : `${(100 * value).toFixed(0)} %`;
}

export function goalsTable(verdicts: readonly Verdict[]): string {
  return markdown([
    ['figure', 'goal', 'measured', ''],
    ...verdicts.map(({key, of, against, atLeast, atMost, value, pass}) => {
      const whose = of === undefined ? '' : `, ${of}`;
      const what = titleOf(key) + whose + (against === undefined ? '' : ` ÷ ${against}`);
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
