// A look at the colours of a page, for tests in a browser.

/** Runs in the page: texts whose contrast with the ground is below 4.5 (WCAG AA). */
export const LOW_CONTRAST = `(() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((part) => part / 255).map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('dt, dd, p, h1, h2, td, th, .item, caption, label, input')]
    .filter((node) => node.textContent.trim() && node.offsetParent)
    .flatMap((node) => {
      const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      return ratio < 4.5 ? [node.textContent + ' ' + ratio] : [];
    });
})()`;
