// A row of keys that the keyboard of a phone lacks. Ctrl holds for the next character.

const KEYS = [
  ['Esc', '\x1b'],
  ['Tab', '\t'],
  ['Ctrl', undefined],
  ['←', 'D'],
  ['↑', 'A'],
  ['↓', 'B'],
  ['→', 'C'],
];

/** @returns {(text: string) => string} what to send for what was typed */
export function showKeys(term, send) {
  const row = document.getElementById('keys');
  let ctrl;
  const press = (on) => ctrl.setAttribute('aria-pressed', String(on));
  for (const [name, text] of KEYS) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = name;
    // The focus stays where it is, and with it the keyboard.
    button.addEventListener('pointerdown', (event) => event.preventDefault());
    button.addEventListener('click', () => {
      if (text === undefined) return press(ctrl.getAttribute('aria-pressed') !== 'true');
      const isArrow = /^[A-D]$/.test(text);
      send(isArrow ? `\x1b${term.modes.applicationCursorKeysMode ? 'O' : '['}${text}` : text);
    });
    if (text === undefined) ctrl = button;
    row.append(button);
  }
  press(false);
  row.hidden = false;
  return (text) => {
    if (ctrl.getAttribute('aria-pressed') !== 'true' || text.length !== 1) return text;
    press(false);
    return /[@-_a-z]/.test(text) ? String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31) : text;
  };
}
