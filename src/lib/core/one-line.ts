// Makes text from outside safe to print.

import {stripVTControlCharacters} from 'node:util';

/**
 * One line for a terminal or a log. Control and direction characters, which could paint a terminal or reorder the text around
 * them, become spaces.
 */
export function oneLine(text: string): string {
  // Most texts are plain, and the first use of Unicode's classes takes milliseconds.
  if (/^[ -~]*$/.test(text)) return text.trim();
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

/** The same, with a limit for the length. */
export function printable(text: string): string {
  const line = oneLine(text);
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

/**
 * Output of strangers for a terminal, with its lines. Escape sequences, which could change the title, the clipboard or earlier
 * lines, go. Control and direction characters that remain become spaces.
 */
export function forTerminal(text: string): string {
  if (/^[\n\t -~]*$/.test(text)) return text;
  return stripVTControlCharacters(text)
    .replaceAll('\r\n', '\n')
    .replace(/[^\P{Cc}\n\t]|[\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}
