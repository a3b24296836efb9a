// Measures the width of text on a terminal in cells, not in characters.

import {eastAsianWidth} from 'get-east-asian-width';

const segmenter = new Intl.Segmenter();
const INVISIBLE = /^[\p{Cc}\p{Cf}\p{Mn}\p{Me}]/u;

/** The cells that a line without control characters takes. */
export function cells(text: string): number {
  // Almost all output of tunl is ASCII.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  return parts(text).reduce((sum, {width}) => sum + width, 0);
}

/** The text, or the beginning that fits, with a `…` after it. */
export function cut(text: string, width: number): string {
  if (cells(text) <= width) return text;
  let kept = '';
  let room = width - 1;
  for (const part of parts(text)) {
    room -= part.width;
    if (room < 0) break;
    kept += part.segment;
  }
  return width < 1 ? '' : `${kept}…`;
}

function parts(text: string): {segment: string; width: number}[] {
  return [...segmenter.segment(text)].map(({segment}) => ({
    segment,
    width: INVISIBLE.test(segment) ? 0 : eastAsianWidth(segment.codePointAt(0) ?? 0),
  }));
}
