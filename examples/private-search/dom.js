// Elements. Texts of the user go in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** An element with attributes, holding elements and texts. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Resolves once the page has been drawn, so that what was said before is seen. */
export const drawn = () => new Promise((resolve) => {
  requestAnimationFrame(() => setTimeout(resolve));
});
