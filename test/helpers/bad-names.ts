// More than five hundred names that are none: of objects, of other alphabets, with ports, users, paths and controls in them.

/** @param domain the relay's; `good` is a label that has a tunnel there: no name of the list is its own. */
export function badNames(domain: string, good = 'good'): readonly string[] {
  const [first = '', rest] = [good[0], good.slice(1)];
  const words = [
    ...['constructor', '__proto__', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'then', 'length'],
    ...[
      'nobody',
      'www',
      'localhost',
      '-a',
      'a-',
      '*',
      '\u{1f600}',
      '\u212aiosk',
      'ßß',
      'ı',
      '例え',
      'ⅼocalhost',
    ],
    // Those that some program could take for the good one.
    ...[`%${first.charCodeAt(0).toString(16)}${rest}`, `${good.slice(0, 2)} ${good.slice(2)}`, `${good}\0`],
    ...[`${first}\u200b${rest}`, `\u202e${good}`, good.replace(/[aeo]/g, '$&\u0308').normalize()],
    [...good].map((letter) => String.fromCharCode(letter.charCodeAt(0) + 0xfee0)).join(''),
    ...['ɢood', 'xn--gd-fkaa', 'xn--'],
  ];
  const forms: ((word: string) => string)[] = [
    (word) => word,
    (word) => `${word}.${domain}`,
    (word) => `${word.toUpperCase()}.${domain.toUpperCase()}`,
    (word) => `${word}.${domain}.`,
    (word) => `${word}.${domain}..`,
    (word) => `.${word}.${domain}`,
    (word) => `${word}..${domain}`,
    (word) => `${word}.${domain}.evil.test`,
    (word) => `${word}.${good}.${domain}`,
    (word) => `${good}.${word}.${domain}`,
    (word) => `${word}@${good}.${domain}`,
    (word) => `${good}.${domain}/${word}`,
    (word) => `${good}.${domain}#${word}`,
    (word) => `${good}。${domain.replace('.', '。')}${word}`,
    (word) => `${good}.${domain},${word}.${domain}`,
  ];
  const others = [
    ...[
      '',
      '.',
      '..',
      ' ',
      '\0',
      '[',
      '[]',
      '[::1]',
      '::1',
      '127.0.0.1',
      '0x7f.1',
      '2130706433',
      '0',
      '00',
      '-1',
    ],
    ...[
      `${good}.${domain}\0`,
      `${good}.${domain}:99999`,
      `${good}.${domain}:x`,
      `${good} .${domain}`,
      `${good}.${domain} `,
    ],
    ...['null', 'undefined', 'NaN', 'true', '[object Object]', '{{x}}', '../../etc/passwd', '%00', '%2e'],
    ...[63, 64, 253, 254, 255, 256, 1_000, 15_000, 60_000].map((length) => 'a'.repeat(length)),
    ...[63, 64, 100, 30_000].map((labels) => `${'a.'.repeat(labels)}${domain}`),
    ...Array.from({length: 33}, (_, byte) => `go${String.fromCharCode(byte)}od.${domain}`),
    ...Array.from({length: 33}, (_, i) => `go${String.fromCharCode(0x7f + i * 4)}od.${domain}`),
  ];
  return [...new Set([...words.flatMap((word) => forms.map((form) => form(word))), ...others])];
}
