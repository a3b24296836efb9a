// Horizontal bars in groups, as SVG: plain text from templates. All colours are readable on light and on dark pages, since an image
// cannot know the theme of its page.

export interface Bar {
  /** One of the chart's series. */
  series: string;
  value: number;
}

export interface Group {
  title: string;
  bars: readonly Bar[];
}

export interface Bars {
  title: string;
  /** One line below the chart. */
  note: string;
  series: readonly string[];
  groups: readonly Group[];
  /** A line through all groups at this value. */
  mark?: number;
  /** Groups of different units: the longest bar of each is as wide as the chart. */
  apart?: boolean;
  digits: number;
}

const WIDTH = 860;
const LABELS = 240;
const VALUES = 52;
const BAR = 11;
const GROUP_GAP = 10;
const HEAD = 62;
const FOOT = 30;

/** Bars have the order of the legend, for readers who cannot tell the colours apart. */
const colours = [
  '#0e8a7d',
  '#8a63d2',
  '#c9761a',
  '#3b82c4',
  '#b8477f',
  '#7d8b2d',
  '#7a7f87',
  '#b0563f',
  '#5661c9',
  '#a68a00',
];
/** tunl always has the first one. */
const own = 'tunl';

export function barChart({title, note, series, groups, mark, apart = false, digits}: Bars): string {
  const order = [...series].sort((a, b) => Number(b === own) - Number(a === own));
  const colourOf = (name: string) => colours[order.indexOf(name) % colours.length] ?? '#777';
  const mostOf = (some: readonly Group[]) =>
    Math.max(mark ?? 0, ...some.flatMap(({bars}) => bars.map(({value}) => value)));
  const room = WIDTH - LABELS - VALUES;
  const across = (value: number, most: number) => LABELS + (most === 0 ? 0 : (value / most) * room);
  const all = mostOf(groups);
  let y = HEAD;
  const rows = groups.map((group) => {
    const bars = order.flatMap((name) => group.bars.filter((bar) => bar.series === name));
    const top = y;
    const most = apart ? mostOf([group]) : all;
    y += bars.length * BAR + GROUP_GAP;
    const middle = top + (bars.length * BAR) / 2 + 4;
    return [
      `<text class="label" x="${LABELS - 8}" y="${round(middle)}">${escaped(group.title)}</text>`,
      ...bars.map(({series: name, value}, i) => {
        const at = top + i * BAR;
        const width = across(value, most) - LABELS;
        const shown = value.toFixed(digits);
        return (
          `<rect x="${LABELS}" y="${at}" width="${round(width)}" height="${BAR - 2}" fill="${colourOf(name)}">` +
          `<title>${escaped(`${group.title}: ${name} ${shown}`)}</title></rect>` +
          `<text class="${name === own ? 'own' : 'value'}" x="${round(across(value, most) + 4)}" y="${at + BAR - 3}">${shown}</text>`
        );
      }),
    ].join('\n');
  });
  const height = y + FOOT;
  const line =
    mark === undefined
      ? ''
      : `<line class="mark" x1="${round(across(mark, all))}" x2="${round(across(mark, all))}" y1="${HEAD - 6}" y2="${y - 4}"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>
  text { font: 11px system-ui, sans-serif; fill: #6e7781; }
  .title { font-size: 14px; font-weight: 600; }
  .label { text-anchor: end; }
  .value, .own { font-size: 9px; }
  .own { font-weight: 700; }
  .note { font-size: 10px; }
  .mark { stroke: #6e7781; stroke-dasharray: 3 3; }
</style>
<text class="title" x="0" y="16">${escaped(title)}</text>
${legend(order, colourOf)}
${line}
${rows.join('\n')}
<text class="note" x="0" y="${height - 8}">${escaped(note)}</text>
</svg>
`;
}

/** The width of a letter is a guess: nobody measures text here. */
function legend(order: readonly string[], colourOf: (name: string) => string): string {
  let x = 0;
  return order
    .map((name) => {
      const at = x;
      x += 26 + name.length * 7;
      return `<rect x="${at}" y="30" width="10" height="10" fill="${colourOf(name)}"/><text x="${at + 14}" y="39">${escaped(name)}</text>`;
    })
    .join('\n');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
